/*
 * Standard input is left open: it is the caller's.
 */
#include "tools/input.h"

#include "tools/tool.h"

#include <errno.h>
#include <stdio.h>

int input_read(const char *path, struct buf *out)
{
    bool is_input = !strcmp(path, "-");
    FILE *file = is_input ? stdin : fopen(path, "rb");
    char block[16384];
    size_t count;
    if (!file)
        return complain("%s: %s", path, strerror(errno));
    while (out->len <= INPUT_BYTES_MAX && (count = fread(block, 1, sizeof(block), file)) > 0)
        buf_put(out, block, count);
    bool is_read = !ferror(file) && out->status == STATUS_OK;
    if (!is_input)
        (void)fclose(file); /* was only read */
    if (out->len > INPUT_BYTES_MAX)
        return complain("%s: larger than %d MiB", path, INPUT_BYTES_MAX / 1024 / 1024);
    return is_read ? DONE : complain("%s: cannot be read", path);
}
