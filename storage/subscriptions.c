/*
 * subscriptions: the patterns of the enabled endpoints in memory. An event name is matched against
 * them once and the answer remembered; names come from schemas and from the product, so there are
 * some tens of them. Should there ever be many, the memory starts anew when it is full.
 */
#include "storage/endpoints.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "storage/table.h"

#define SLOTS 512 /* a power of two */
#define ANSWERS_MAX (SLOTS / 2)

struct subscriber {
    uint32_t number;
    uint8_t pattern_count;
    char (*patterns)[ENDPOINT_PATTERN_MAX + 1];
};

struct answer {
    char *event; /* NULL: the slot is free */
    uint32_t *numbers;
    size_t count;
};

struct subscriptions {
    bool is_known;
    uint64_t generation;
    struct subscriber *subscribers;
    size_t count, capacity;
    uint32_t *matched; /* room for all: where memory for an answer is short, this is it */
    struct answer answers[SLOTS];
    size_t answer_count;
};

/* ---- patterns ---- */

static bool is_name_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           (c >= 'A' && c <= 'Z');
}

/* Names joined by single dots; the last one may be "*". */
enum status event_pattern_check(struct bytes pattern)
{
    bool is_start = true;

    if (pattern.len == 0 || pattern.len > ENDPOINT_PATTERN_MAX)
        return STATUS_INVALID;
    for (size_t i = 0; i < pattern.len; i++) {
        uint8_t c = pattern.data[i];
        if (c == '*' && is_start && i == pattern.len - 1)
            return STATUS_OK;
        if (c == '.' ? is_start : !is_name_char(c))
            return STATUS_INVALID;
        is_start = c == '.';
    }
    return is_start ? STATUS_INVALID : STATUS_OK;
}

bool event_pattern_matches(const char *pattern, struct bytes event)
{
    size_t len = strlen(pattern);

    if (len == 0 || pattern[len - 1] != '*')
        return bytes_equal_str(event, pattern);
    return event.len > len - 1 && memcmp(event.data, pattern, len - 1) == 0;
}

static bool wants(const char (*patterns)[ENDPOINT_PATTERN_MAX + 1], size_t count,
                  struct bytes event)
{
    for (size_t i = 0; i < count; i++)
        if (event_pattern_matches(patterns[i], event))
            return true;
    return count == 0;
}

bool endpoint_wants(const struct endpoint *endpoint, struct bytes event)
{
    return wants(endpoint->patterns, endpoint->pattern_count, event);
}

/* ---- memory ---- */

static void forget_answers(struct subscriptions *subs)
{
    for (size_t i = 0; i < SLOTS; i++) {
        free(subs->answers[i].event);
        free(subs->answers[i].numbers);
        subs->answers[i] = (struct answer){0};
    }
    subs->answer_count = 0;
}

void subscriptions_forget(struct subscriptions *subs)
{
    forget_answers(subs);
    for (size_t i = 0; i < subs->count; i++)
        free(subs->subscribers[i].patterns);
    subs->count = 0;
    subs->is_known = false;
}

struct subscriptions *subscriptions_new(void)
{
    return calloc(1, sizeof(struct subscriptions));
}

void subscriptions_free(struct subscriptions *subs)
{
    if (subs == NULL)
        return;
    subscriptions_forget(subs);
    free(subs->subscribers);
    free(subs->matched);
    free(subs);
}

static bool make_room(struct subscriptions *subs)
{
    size_t capacity = subs->capacity ? 2 * subs->capacity : 16;
    void *grown;

    if (subs->count < subs->capacity)
        return true;
    grown = realloc(subs->subscribers, capacity * sizeof *subs->subscribers);
    if (grown == NULL)
        return false;
    subs->subscribers = grown;
    grown = realloc(subs->matched, capacity * sizeof *subs->matched);
    if (grown == NULL)
        return false;
    subs->matched = grown;
    subs->capacity = capacity;
    return true;
}

static enum status add(struct subscriptions *subs, const struct endpoint *endpoint)
{
    struct subscriber *subscriber;

    if (!make_room(subs))
        return STATUS_NO_MEMORY;
    subscriber = &subs->subscribers[subs->count];
    *subscriber = (struct subscriber){endpoint->number, endpoint->pattern_count, NULL};
    if (endpoint->pattern_count > 0) {
        subscriber->patterns = calloc(endpoint->pattern_count, sizeof *subscriber->patterns);
        if (subscriber->patterns == NULL)
            return STATUS_NO_MEMORY;
        memcpy(subscriber->patterns, endpoint->patterns,
               endpoint->pattern_count * sizeof *subscriber->patterns);
    }
    subs->count++;
    return STATUS_OK;
}

void subscriptions_refresh(struct subscriptions *subs, struct txn *txn)
{
    uint64_t generation = txn_generation(txn);
    struct endpoint endpoint;
    uint32_t number = 0;
    enum status s;

    if (subs->is_known && subs->generation == generation)
        return;
    subscriptions_forget(subs);
    while ((s = endpoint_next(txn, &number, &endpoint)) == STATUS_OK) {
        if (endpoint.state != ENDPOINT_ENABLED)
            continue;
        s = add(subs, &endpoint);
        if (s != STATUS_OK)
            break;
    }
    /* Not known after a fault: it sticks to the transaction, and the next one reads again. */
    subs->generation = generation;
    subs->is_known = txn_fault(txn, s) == STATUS_END && txn_status(txn) == STATUS_OK;
}

/* ---- answers ---- */

static struct answer *find_slot(struct subscriptions *subs, struct bytes event)
{
    for (size_t i = crc32_of(event);; i++) {
        struct answer *answer = &subs->answers[i & (SLOTS - 1)];
        if (answer->event == NULL || bytes_equal_str(event, answer->event))
            return answer;
    }
}

static size_t match_all(struct subscriptions *subs, struct bytes event)
{
    size_t count = 0;

    for (size_t i = 0; i < subs->count; i++) {
        const struct subscriber *subscriber = &subs->subscribers[i];
        if (wants((const char(*)[ENDPOINT_PATTERN_MAX + 1]) subscriber->patterns,
                  subscriber->pattern_count, event))
            subs->matched[count++] = subscriber->number;
    }
    return count;
}

/* Where memory is short it is not remembered. */
static void remember(struct subscriptions *subs, struct bytes event, size_t count)
{
    CLEANUP(freep) char *name = bytes_dup_str(event);
    CLEANUP(freep) uint32_t *numbers = calloc(count ? count : 1, sizeof *numbers);
    struct answer *answer;

    if (name == NULL || numbers == NULL || memchr(name, '\0', event.len) != NULL)
        return;
    if (subs->answer_count == ANSWERS_MAX)
        forget_answers(subs);
    if (count > 0)
        memcpy(numbers, subs->matched, count * sizeof *numbers);
    answer = find_slot(subs, event);
    *answer = (struct answer){MOVE(name), MOVE(numbers), count};
    subs->answer_count++;
}

const uint32_t *subscriptions_match(struct subscriptions *subs, struct bytes event,
                                    size_t *ret_count)
{
    const struct answer *known;

    *ret_count = 0;
    if (subs->count == 0)
        return subs->matched;
    known = find_slot(subs, event);
    if (known->event != NULL) {
        *ret_count = known->count;
        return known->numbers;
    }
    *ret_count = match_all(subs, event);
    remember(subs, event, *ret_count);
    return subs->matched;
}
