/*
 * Fuzz target: data files. Whatever lies in one, the answer is a status and a sentence, and no page
 * is named that does not exist. (The corpus has pages of 512 bytes, to be small.)
 */
#include "storage/page_file.h"

#include "base/must.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void each_page(void *context, uint64_t page)
{
    const struct page_file_facts *facts = context;

    must(page >= 2 && page <= facts->last_page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct page_file_facts facts;
    struct err err = {0};
    char path[64];
    int fd = memfd_create("page_file", MFD_CLOEXEC);
    enum status s;

    must(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    s = page_file_check(path, &facts, &err);
    must(s == STATUS_OK || err.text[0] != '\0');
    if (s == STATUS_OK) {
        s = page_file_check_trees(path, facts.transaction, &err);
        must(s == STATUS_OK || s == STATUS_CORRUPT);
        s = page_file_each_tree_page(path, facts.transaction, each_page, &facts, &err);
        must(s == STATUS_OK || s == STATUS_CORRUPT);
    }
    close(fd);
    return 0;
}
