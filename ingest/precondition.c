/*
 * Small parsers over header values. A list is split at commas outside of quotes.
 */
#include "ingest/precondition.h"

#include <strings.h>

static struct bytes trim(struct bytes view)
{
    while (view.len > 0 && (*view.data == ' ' || *view.data == '\t'))
        view = bytes_of(view.data + 1, view.len - 1);
    while (view.len > 0 && (view.data[view.len - 1] == ' ' || view.data[view.len - 1] == '\t'))
        view.len--;
    return view;
}

/* The next element of a list, split at `separator` outside of quotes; false: no more. */
static bool list_next(struct bytes *rest, char separator, struct bytes *ret_element)
{
    if (rest->len == 0)
        return false;
    bool is_quoted = false;
    size_t len = 0;
    while (len < rest->len && (is_quoted || rest->data[len] != (uint8_t)separator)) {
        if (rest->data[len] == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && rest->data[len] == '\\' && len + 1 < rest->len)
            len++;
        len++;
    }
    *ret_element = trim(bytes_of(rest->data, len));
    size_t skip = len < rest->len ? len + 1 : len;
    *rest = bytes_of(rest->data + skip, rest->len - skip);
    return true;
}

static bool equals_nocase(struct bytes view, const char *text)
{
    return view.len == strlen(text) && strncasecmp((const char *)view.data, text, view.len) == 0;
}

static bool starts_nocase(struct bytes view, const char *text)
{
    size_t len = strlen(text);
    return view.len >= len && strncasecmp((const char *)view.data, text, len) == 0;
}

/* `"12"` -> 12. False: not a tag of ours. */
static bool tag_number(struct bytes tag, uint32_t *ret_number)
{
    if (tag.len < 3 || tag.len > 11 || tag.data[0] != '"' || tag.data[tag.len - 1] != '"')
        return false;
    uint64_t number = 0;
    for (size_t i = 1; i + 1 < tag.len; i++) {
        if (tag.data[i] < '0' || tag.data[i] > '9')
            return false;
        number = number * 10 + (tag.data[i] - '0');
    }
    *ret_number = (uint32_t)number;
    return number > 0 && number <= UINT32_MAX;
}

static bool is_entity_tag(struct bytes tag)
{
    if (starts_nocase(tag, "W/"))
        tag = bytes_of(tag.data + 2, tag.len - 2);
    return tag.len >= 2 && tag.data[0] == '"' && tag.data[tag.len - 1] == '"';
}

enum status precondition_parse(struct bytes if_match, struct bytes if_none_match,
                               struct precondition *ret_precondition)
{
    *ret_precondition = (struct precondition){0};
    if (if_none_match.data) {
        if (!bytes_equal_str(trim(if_none_match), "*"))
            return STATUS_INVALID;
        ret_precondition->is_absent = true;
    }
    if (!if_match.data)
        return STATUS_OK;
    if (bytes_equal_str(trim(if_match), "*")) {
        ret_precondition->is_any = true;
        return STATUS_OK;
    }
    ret_precondition->has_tags = true;
    struct bytes tag;
    while (list_next(&if_match, ',', &tag)) {
        uint32_t number;
        if (!is_entity_tag(tag))
            return STATUS_INVALID;
        if (!tag_number(tag, &number))
            continue;
        if (ret_precondition->tag_count == PRECONDITION_TAGS_MAX)
            return STATUS_INVALID;
        ret_precondition->tags[ret_precondition->tag_count++] = number;
    }
    return STATUS_OK;
}

bool precondition_allows(const struct precondition *precondition, uint32_t revision)
{
    if (precondition->is_absent && revision > 0)
        return false;
    if (precondition->is_any)
        return revision > 0;
    if (!precondition->has_tags)
        return true;
    for (size_t i = 0; i < precondition->tag_count; i++) {
        if (revision > 0 && precondition->tags[i] == revision)
            return true;
    }
    return false;
}

enum status idempotency_key_parse(struct bytes header, struct buf *scratch, struct bytes *ret_key)
{
    struct bytes key = trim(header);
    if (key.len >= 2 && key.data[0] == '"' && key.data[key.len - 1] == '"') {
        key = bytes_of(key.data + 1, key.len - 2);
        if (key.len > 0 && memchr(key.data, '\\', key.len)) {
            buf_clear(scratch);
            for (size_t i = 0; i < key.len; i++) {
                if (key.data[i] == '\\' && ++i == key.len)
                    return STATUS_INVALID;
                buf_put_u8(scratch, key.data[i]);
            }
            key = buf_bytes(scratch);
        }
    }
    if (key.len == 0 || key.len > IDEMPOTENCY_KEY_MAX)
        return STATUS_INVALID;
    for (size_t i = 0; i < key.len; i++) {
        if (key.data[i] < 0x20 || key.data[i] > 0x7e)
            return STATUS_INVALID;
    }
    *ret_key = key;
    return STATUS_OK;
}

bool prefer_is_strict(struct bytes prefer)
{
    struct bytes preference, part;
    while (list_next(&prefer, ',', &preference)) {
        if (list_next(&preference, ';', &part) &&
            (equals_nocase(part, "handling=strict") || equals_nocase(part, "handling=\"strict\"")))
            return true;
    }
    return false;
}

enum content_kind content_kind_of(struct bytes content_type)
{
    struct bytes media_type, parameter;
    if (!list_next(&content_type, ';', &media_type))
        return CONTENT_OTHER;
    while (list_next(&content_type, ';', &parameter)) {
        if (starts_nocase(parameter, "charset=") && !equals_nocase(parameter, "charset=utf-8") &&
            !equals_nocase(parameter, "charset=\"utf-8\""))
            return CONTENT_OTHER;
    }
    if (equals_nocase(media_type, "application/x-ndjson"))
        return CONTENT_NDJSON;
    if (equals_nocase(media_type, "application/json"))
        return CONTENT_JSON;
    size_t suffix = strlen("+json");
    if (media_type.len > suffix + strlen("x/x") && memchr(media_type.data, '/', media_type.len) &&
        equals_nocase(bytes_of(media_type.data + media_type.len - suffix, suffix), "+json"))
        return CONTENT_JSON;
    return CONTENT_OTHER;
}
