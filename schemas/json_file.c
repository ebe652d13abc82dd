/*
 * Reading a configuration file: all of it, up to a bound, then scanned. Whatever goes wrong is told
 * with the file's name, and a fault in the text with line and column, as compilers do.
 */
#include "schemas/json.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>

#define CHUNK_BYTES 65536

static enum status read_all(int fd, size_t bytes_max, struct buf *out, struct err *err)
{
    uint8_t chunk[CHUNK_BYTES];

    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            err_set(err, "%m");
            return STATUS_IO;
        }
        if (got == 0)
            return out->status;
        if ((size_t)got > bytes_max - out->len) {
            err_set(err, "larger than %zu bytes", bytes_max);
            return STATUS_INVALID;
        }
        buf_put(out, chunk, (size_t)got);
        if (out->status != STATUS_OK) {
            err_set(err, "%s", status_text(out->status));
            return out->status;
        }
    }
}

static enum status read_path(const char *path, size_t bytes_max, struct buf *out, struct err *err)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

    buf_clear(out);
    if (fd < 0) {
        enum status s = errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;

        err_set(err, "%m");
        return s;
    }
    return read_all(fd, bytes_max, out, err);
}

enum status json_read_file(const char *path, size_t bytes_max, struct buf *ret_text,
                           struct json_doc *ret_doc, struct err *err)
{
    struct json_fault fault;
    enum status s = read_path(path, bytes_max, ret_text, err);

    if (s != STATUS_OK) {
        err_wrap(err, "%s", path);
        return s;
    }
    s = json_scan(ret_doc, buf_bytes(ret_text), &fault);
    if (s == STATUS_INVALID)
        err_set(err, "%s:%zu:%zu: %s", path, fault.line, fault.column, fault.detail);
    else if (s != STATUS_OK)
        err_set(err, "%s: %s", path, status_text(s));
    return s;
}
