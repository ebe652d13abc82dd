/*
 * Everything gathered lies in one `struct page`; a flush gives the page to the writer as a work of
 * its own and begins a new one. If the writer's queue is full, the page is kept and grows no
 * further than its bounds until there is room.
 */
#include "ingest/tally.h"

#include "ingest/writer.h"
#include "storage/api_keys.h"
#include "storage/journal.h"

#include <stdbool.h>
#include <stdlib.h>

#define REQUESTS_MAX 4096
#define USED_MAX 1024
#define COUNTS_MAX 1024 /* API keys counted in one page; a power of two */
#define COUNTS_PROBES 32
#define FLUSH_EVERY_MS 1000
#define TOUCH_EVERY_MS (60 * 1000)

struct page {
    struct work work;
    struct {
        uint32_t api_key;
        uint32_t count;
        int64_t row_ms;
    } requests[REQUESTS_MAX];
    size_t request_count;
    struct {
        uint32_t api_key;
        int64_t at_ms;
    } used[USED_MAX];
    size_t used_count;
    struct {
        uint32_t api_key; /* 0: free */
        struct api_key_counts more;
    } counts[COUNTS_MAX]; /* by api_key modulo, or soon after */
    struct {
        int64_t at_ms;
        uint32_t api_key;
        uint16_t http_status;
        struct address peer;
        uint32_t text_at; /* method, route, reason: sized, in `text` */
    } rejections[TALLY_REJECTIONS_MAX + TALLY_ANONYMOUS_MAX];
    size_t rejection_count, anonymous_count;
    struct buf text;
};

struct tally {
    struct page *page; /* NULL: nothing gathered */
    int64_t flushed_at_ms;
    struct {
        uint32_t api_key;
        int64_t at_ms;
    } touched[USED_MAX]; /* by api_key modulo: who was touched when */
};

struct tally *tally_new(void)
{
    return calloc(1, sizeof(struct tally));
}

static void page_free(struct page *page)
{
    if (page)
        buf_fini(&page->text);
    free(page);
}

void tally_free(struct tally *tally)
{
    if (tally)
        page_free(tally->page);
    free(tally);
}

static struct page *page_of(struct tally *tally)
{
    if (!tally->page)
        tally->page = calloc(1, sizeof *tally->page);
    return tally->page; /* NULL: no memory; what would be gathered is lost, nothing else */
}

void tally_request(struct tally *tally, uint32_t api_key, int64_t row_ms)
{
    struct page *page = page_of(tally);
    if (!page)
        return;
    for (size_t i = page->request_count, looked = 0; i-- > 0 && looked < 16; looked++) {
        if (page->requests[i].api_key == api_key && page->requests[i].row_ms == row_ms) {
            page->requests[i].count++;
            return;
        }
    }
    if (page->request_count == REQUESTS_MAX)
        return; /* more within one tick than a disk should see; the running windows count it all */
    page->requests[page->request_count].api_key = api_key;
    page->requests[page->request_count].row_ms = row_ms;
    page->requests[page->request_count++].count = 1;
}

void tally_used(struct tally *tally, uint32_t api_key, int64_t at_ms)
{
    size_t slot = api_key % USED_MAX;
    if (tally->touched[slot].api_key == api_key &&
        at_ms - tally->touched[slot].at_ms < TOUCH_EVERY_MS)
        return;
    struct page *page = page_of(tally);
    if (!page || page->used_count == USED_MAX)
        return;
    tally->touched[slot].api_key = api_key;
    tally->touched[slot].at_ms = at_ms;
    page->used[page->used_count].api_key = api_key;
    page->used[page->used_count++].at_ms = at_ms;
}

/* NULL: more keys in one second than there is room for; some of theirs are not counted. */
static struct api_key_counts *counts_of(struct page *page, uint32_t api_key)
{
    for (size_t i = 0; i < COUNTS_PROBES; i++) {
        size_t slot = (api_key + i) % COUNTS_MAX;
        if (page->counts[slot].api_key == 0)
            page->counts[slot].api_key = api_key;
        if (page->counts[slot].api_key == api_key)
            return &page->counts[slot].more;
    }
    return NULL;
}

void tally_accept(struct tally *tally, uint32_t api_key, uint32_t records)
{
    struct page *page = records > 0 ? page_of(tally) : NULL;
    struct api_key_counts *counts = page ? counts_of(page, api_key) : NULL;
    if (counts)
        counts->accepted += records;
}

void tally_reject(struct tally *tally, const struct tally_rejection *rejection)
{
    struct page *page = page_of(tally);
    if (!page)
        return;
    if (rejection->api_key == 0 && ++page->anonymous_count > TALLY_ANONYMOUS_MAX)
        return;
    struct api_key_counts *counts =
        rejection->api_key != 0 ? counts_of(page, rejection->api_key) : NULL;
    if (counts)
        counts->refused++;
    if (page->rejection_count == TALLY_REJECTIONS_MAX + TALLY_ANONYMOUS_MAX)
        return;
    size_t i = page->rejection_count++;
    page->rejections[i].at_ms = rejection->at_ms;
    page->rejections[i].api_key = rejection->api_key;
    page->rejections[i].http_status = (uint16_t)rejection->http_status;
    page->rejections[i].peer = *rejection->peer;
    page->rejections[i].text_at = (uint32_t)page->text.len;
    buf_put_sized(&page->text, bytes_of_str(rejection->method));
    buf_put_sized(&page->text, bytes_of_str(rejection->route));
    buf_put_sized(&page->text, bytes_of_str(rejection->reason));
}

static void put_rejections(const struct page *page, struct txn *txn)
{
    struct bytes text = buf_bytes(&page->text);
    for (size_t i = 0; i < page->rejection_count && page->text.status == STATUS_OK; i++) {
        struct cursor at = cursor_of(bytes_of(text.data + page->rejections[i].text_at,
                                              text.len - page->rejections[i].text_at));
        struct rejection row = {
            .at_ms = page->rejections[i].at_ms,
            .api_key = page->rejections[i].api_key,
            .http_status = page->rejections[i].http_status,
            .address = page->rejections[i].peer,
        };
        row.method = cursor_sized(&at);
        row.route = cursor_sized(&at);
        row.reason = cursor_sized(&at);
        rejection_add(txn, &row);
    }
}

static void page_apply(struct work *work, struct txn *txn)
{
    const struct page *page = (const struct page *)work;
    for (size_t i = 0; i < page->request_count; i++)
        usage_add(txn, page->requests[i].api_key, page->requests[i].row_ms,
                  page->requests[i].count);
    for (size_t i = 0; i < page->used_count; i++)
        api_key_touch(txn, page->used[i].api_key, page->used[i].at_ms);
    for (size_t i = 0; i < COUNTS_MAX; i++) {
        if (page->counts[i].api_key != 0)
            api_key_count(txn, page->counts[i].api_key, &page->counts[i].more);
    }
    put_rejections(page, txn);
}

/* A failed write loses notes of a second, never a record: the store's owner has logged the fault.
 */
static void page_done(struct work *work, enum status status)
{
    (void)status;
    page_free((struct page *)work);
}

void tally_flush(struct tally *tally, struct writer *writer, int64_t now_ms, bool is_last)
{
    if (!tally->page)
        return;
    bool is_full = tally->page->request_count == REQUESTS_MAX;
    if (!is_last && !is_full && now_ms - tally->flushed_at_ms < FLUSH_EVERY_MS)
        return;
    tally->flushed_at_ms = now_ms;
    tally->page->work.apply = page_apply;
    tally->page->work.done = page_done;
    if (writer_submit(writer, &tally->page->work) == STATUS_OK)
        tally->page = NULL;
}
