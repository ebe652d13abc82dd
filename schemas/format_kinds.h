/*
 * format_kinds: the predicates behind the format table, one file per family. Used by format.c only
 * (and by each other: a mailbox has a host name, a URI an address).
 */
#pragma once

#include "base/bytes.h"

/* format_time.c: RFC 3339, section 5.6 and appendix A */
bool is_date_time(struct bytes text);
bool is_date(struct bytes text);
bool is_time(struct bytes text);
bool is_duration(struct bytes text);

/* format_host.c */
bool is_hostname(struct bytes text);     /* RFC 1123 section 2.1, A-labels checked (RFC 5891) */
bool is_idn_hostname(struct bytes text); /* RFC 5890 section 2.3.2.3 */
bool is_ipv4(struct bytes text);         /* RFC 2673 section 3.2: dotted-quad */
bool is_ipv6(struct bytes text);         /* RFC 4291 section 2.2 */
bool is_email(struct bytes text);        /* RFC 5321 section 4.1.2: Mailbox */
bool is_idn_email(struct bytes text);    /* RFC 6531 section 3.3 */

/* format_uri.c: RFC 3986, 3987, 6570 */
bool is_uri(struct bytes text);
bool is_uri_reference(struct bytes text);
bool is_iri(struct bytes text);
bool is_iri_reference(struct bytes text);
bool is_uri_template(struct bytes text);

/* format.c */
bool is_uuid(struct bytes text);                  /* RFC 4122 section 3 */
bool is_json_pointer(struct bytes text);          /* RFC 6901 section 3 */
bool is_relative_json_pointer(struct bytes text); /* draft-bhutton-relative-json-pointer-00 */
