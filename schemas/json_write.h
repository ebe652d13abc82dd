/*
 * json_write: JSON text out, in the one form that JavaScript re-serialises byte for byte:
 * JSON.stringify(JSON.parse(text)) === text (ECMA-262 section 25.5.2).
 *
 * That is: compact; integer-like member names ("0" … "4294967294") first and ascending, then the
 * others in the order given; only the mandatory escapes (\" \\ \b \f \n \r \t and \u00xx, lower
 * case), so U+2028 and '/' stand as they are; numbers as Number.prototype.toString gives them
 * (shortest round trip, 1e21 -> "1e+21", -0 -> "0"). A number that a double cannot hold keeps its
 * digits exactly as the sender wrote them: the one exception.
 */
#pragma once

#include "schemas/json.h"

/* Append the canonical form of a value. */
void json_write(const struct json_doc *doc, uint32_t node, struct buf *out);
/* Canonical form of an object with "id" first, replacing any "id" it has (integer-like names still
 * come before it, as JavaScript would order them). This is how a record looks to the outside. */
void json_write_record(const struct json_doc *doc, uint32_t object, const char *id,
                       struct buf *out);

/* Pieces, for answers that are built by hand. */
void json_put_string(struct buf *out, struct bytes utf8); /* with quotes and escapes */
void json_put_str(struct buf *out, const char *utf8);
void json_put_number(struct buf *out, struct bytes number_text); /* canonical form */
void json_put_double(struct buf *out, double value);             /* finite only */

/* RFC 7396: `target` (or nothing: JSON_NONE) with `patch` applied, as JSON text in canonical form;
 * members keep the target's order, new ones follow in the patch's. */
void json_merge_patch(const struct json_doc *target, uint32_t target_node,
                      const struct json_doc *patch, uint32_t patch_node, struct buf *out);
