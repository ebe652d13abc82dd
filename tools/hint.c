/*
 * A type or event may be added later, and a schemas folder may not be readable here: so these are
 * notes, never errors, and where the schemas cannot be read nothing is said.
 */
#include "tools/hint.h"

#include "schemas/near_name.h"
#include "storage/endpoints.h"

#include <stdio.h>

/* Raised by Postern itself, about no record. */
static const char *const OWN_EVENTS[] = {"delivery.failed", "endpoint.disabled",
                                         "webhook.test",    "report.scheduled",
                                         "report.failed",   "report.generated"};
static const char *const OWN_NOUNS[] = {"*", "events"};

struct search {
    struct bytes wanted;
    bool is_pattern; /* `wanted` may end in ".*" */
    bool is_found;
    uint32_t distance; /* of `nearest` */
    char nearest[128];
};

static void look_at(void *context, const char *name)
{
    struct search *search = context;
    struct bytes whole = bytes_of_str(name);
    bool is_prefix = search->is_pattern && search->wanted.len > 2 &&
                     !memcmp(search->wanted.data + search->wanted.len - 2, ".*", 2);
    struct bytes wanted = search->wanted;
    if (is_prefix) {
        wanted.len -= 2;
        whole.len = strcspn(name, ".");
    }
    search->is_found |= bytes_equal(whole, wanted);
    uint32_t distance = near_name_distance(wanted, whole);
    if (distance >= search->distance)
        return;
    search->distance = distance;
    snprintf(search->nearest, sizeof(search->nearest), "%.*s%s", BYTES_ARG(whole),
             is_prefix ? ".*" : "");
}

static void say(const struct search *search, const char *what, const char *text, const char *rest)
{
    struct buf line = {0};
    buf_printf(&line, "no %s matches \"%.128s\" now", what, text);
    if (search->distance != UINT32_MAX)
        buf_printf(&line, "; did you mean %s%s?", search->nearest, rest);
    (void)complain("note: %s", buf_str(&line));
    buf_fini(&line);
}

static void hint_scope(const struct record_types *types, const char *scope)
{
    const char *colon = strchr(scope, ':');
    if (!colon)
        return;
    struct search search = {.wanted = bytes_of(scope, (size_t)(colon - scope)),
                            .distance = UINT32_MAX};
    for (size_t i = 0; i < sizeof(OWN_NOUNS) / sizeof(*OWN_NOUNS); i++)
        look_at(&search, OWN_NOUNS[i]);
    for (size_t i = 0; i < record_types_count(types); i++)
        look_at(&search, record_types_at(types, i)->name);
    if (!search.is_found)
        say(&search, "record type", scope, colon);
}

static void hint_event(const struct record_types *types, const char *pattern)
{
    struct search search = {
        .wanted = bytes_of_str(pattern), .is_pattern = true, .distance = UINT32_MAX};
    if (!strcmp(pattern, "*"))
        return;
    for (size_t i = 0; i < sizeof(OWN_EVENTS) / sizeof(*OWN_EVENTS); i++)
        look_at(&search, OWN_EVENTS[i]);
    for (size_t i = 0; i < record_types_count(types); i++)
        record_type_events(record_types_at(types, i), look_at, &search);
    if (!search.is_found)
        say(&search, "event", pattern, "");
}

static void hint(struct tool *tool, const struct args *args, const char *option,
                 void (*one)(const struct record_types *types, const char *text))
{
    size_t at = 0;
    const struct value *value;
    struct err err = {0};
    if (!args_has(args, option) || tool_types(tool, &err) != STATUS_OK)
        return;
    while ((value = args_each(args, option, &at)))
        one(tool->types, value->text);
}

void hint_scopes(struct tool *tool, const struct args *args)
{
    hint(tool, args, "scope", hint_scope);
}

void hint_events(struct tool *tool, const struct args *args, const char *option)
{
    hint(tool, args, option, hint_event);
}
