/*
 * Two questions. Is there room to speak of, on the disk or in pages of the file that can be used
 * again? A small commit alone often finds a page, and the server would be called ready and refuse
 * the next record. And does a commit succeed? The probe takes an id and stores nothing else: ids
 * may have gaps, and the store's last id is a row that is written and synced like any other.
 */
#include "ingest/space_probe.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <sys/statvfs.h>

#define PERIOD_MS 1000
#define ROOM_BYTES (256 * 1024)

static void probe_apply(struct work *work, struct txn *txn)
{
    (void)work;
    (void)txn_uuid(txn);
}

static void probe_done(struct work *work, enum status status)
{
    struct space_probe *probe = (struct space_probe *)work;
    if (status == STATUS_OK)
        atomic_store(&probe->app->is_store_full, false);
    atomic_store(&probe->is_queued, false);
}

void space_probe_init(struct space_probe *probe, struct app *app)
{
    *probe = (struct space_probe){.work = {.apply = probe_apply, .done = probe_done}, .app = app};
}

/* What cannot be found out does not hold the probe back. */
static bool has_room(const struct space_probe *probe, const char *data)
{
    struct statvfs disk;
    struct store_stat store;
    CLEANUP(txn_abortp) struct txn *txn = NULL;
    if (statvfs(data, &disk) != 0 || txn_read(probe->app->store, &txn) != STATUS_OK ||
        store_stat(txn, &store) != STATUS_OK)
        return true;
    return (uint64_t)disk.f_bavail * disk.f_frsize + store.free_bytes >= ROOM_BYTES;
}

void space_probe_tick(struct space_probe *probe, const char *data, int64_t monotonic_ms)
{
    bool is_full = atomic_load(&probe->app->is_store_full);
    if (is_full && !probe->was_full)
        log_error("the disk is full: records are refused until there is room");
    if (!is_full && probe->was_full)
        log_info("the disk has room again: records are taken");
    probe->was_full = is_full;
    if (!is_full || monotonic_ms < probe->next_ms || atomic_load(&probe->is_queued))
        return;
    probe->next_ms = monotonic_ms + PERIOD_MS;
    if (!has_room(probe, data))
        return;
    atomic_store(&probe->is_queued, true);
    if (writer_submit(probe->app->writer, &probe->work) != STATUS_OK)
        atomic_store(&probe->is_queued, false); /* busy: works are being committed without us */
}
