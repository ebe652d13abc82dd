/*
 * page_file: LMDB's data file read with pread, page by page, trusting nothing.
 *
 * LMDB maps its file and believes it: a file cut short is a SIGBUS, a page of garbage a wild
 * pointer. Before it may map a file, page_file_check looks at what everything else hangs on. It
 * never writes, and takes no lock: beside a running server it looks at a moving file, which it
 * allows for.
 *
 * The layout it knows is LMDB 0.9's data version 1 (docs/data-format.md).
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

struct page_file_facts {
    uint32_t page_bytes;
    uint64_t last_page;   /* highest page number in use */
    uint64_t map_bytes;   /* of the process that committed last */
    uint64_t transaction; /* LMDB's number of the last commit */
};

/* Both meta pages, the file's length, the free list where the file is shorter than its last page,
 * the directory of tables and each table's root. STATUS_NOT_FOUND, STATUS_DENIED, STATUS_IO,
 * STATUS_CORRUPT, STATUS_VERSION (another LMDB's format); `err` says what is wrong. */
MUST_CHECK enum status page_file_check(const char *path, struct page_file_facts *ret_facts,
                                       struct err *err);

/*
 * Deeper, for one snapshot that the caller holds (a transaction that is open keeps its pages from
 * being reused): `transaction` is LMDB's number of it. STATUS_MISMATCH: newer commits have
 * overwritten its meta page meanwhile; begin again with a new transaction.
 */

/* Every page of every tree is where and what it should be, and every row lies within its page.
 * Reads all pages but the content of overflow pages. */
MUST_CHECK enum status page_file_check_trees(const char *path, uint64_t transaction,
                                             struct err *err);
/* Call `each` with every branch and leaf page of every tree; reads branches only. */
MUST_CHECK enum status page_file_each_tree_page(const char *path, uint64_t transaction,
                                                void (*each)(void *context, uint64_t page),
                                                void *context, struct err *err);

/* The large rows of a leaf page that the caller has read: each row's first page of its own, and how
 * many bytes of those pages it fills, counted from their header on. STATUS_CORRUPT, or what `each`
 * answered. */
MUST_CHECK enum status page_each_large_row(const uint8_t *page, uint32_t page_bytes,
                                           enum status (*each)(void *context, uint64_t first,
                                                               uint64_t bytes),
                                           void *context);
bool page_is_leaf(const uint8_t *page);
/* How many pages of its own a large row has, by the first one's header; 0: `page` is not `number`'s
 * first. They may be more than the row fills. */
uint32_t page_large_row_pages(const uint8_t *page, uint64_t number);
