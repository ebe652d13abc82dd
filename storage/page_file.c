/*
 * page_file: metas -> trees -> pages, each number checked before it is used.
 *
 * LMDB may leave the file a little shorter than its last page: pages that were taken and given back
 * within one transaction are never written. So a short file is damaged only if one of the missing
 * pages is not in the free list, and that is looked up.
 *
 * What can fail: everything that is read. The first finding ends the check, unless another process
 * committed meanwhile: then the pages may have been reused under our eyes, and it starts over.
 */
#include "storage/page_file.h"

#include "base/cleanup.h"
#include "storage/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MAGIC 0xBEEFC0DEu
#define DATA_VERSION 1u
#define META_BYTES 152
#define HEADER_BYTES 16
#define NODE_BYTES 8
#define TREE_BYTES 48
#define PAGE_NONE UINT64_MAX
#define NEWEST UINT64_MAX
#define DEPTH_MAX 32
#define TRIES_MAX 5

#define PAGE_BRANCH 0x01
#define PAGE_LEAF 0x02
#define PAGE_OVERFLOW 0x04
#define PAGE_META 0x08
#define NODE_BIG 0x01  /* the data is the number of an overflow page */
#define NODE_TREE 0x02 /* the data is a table's tree */

struct tree {
    uint16_t depth;
    uint64_t root; /* PAGE_NONE: empty */
};

struct page_file {
    int fd;
    uint64_t file_bytes, pages_there;
    struct page_file_facts facts;
    struct tree free_list, tables;
    uint64_t pages_left; /* to visit: ends a cycle */
    uint64_t missing;    /* free pages that lie behind the file's end */
    struct err *err;
    void (*each_page)(void *context, uint64_t page);
    void *context;
};

/* LMDB writes the machine's own byte order. */
static uint16_t native16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}
static uint32_t native32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}
static uint64_t native64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static enum status damaged(struct page_file *f, uint64_t page, const char *what)
{
    err_set(f->err, "damaged (page %llu %s); restore a backup", (unsigned long long)page, what);
    return STATUS_CORRUPT;
}

static enum status read_at(struct page_file *f, void *out, size_t len, uint64_t offset)
{
    ssize_t n = pread(f->fd, out, len, (off_t)offset);

    if (n == (ssize_t)len)
        return STATUS_OK;
    if (n >= 0) {
        err_set(f->err, "damaged (ends at byte %llu); restore a backup",
                (unsigned long long)(offset + (uint64_t)n));
        return STATUS_CORRUPT;
    }
    err_set(f->err, "%s", strerror(errno));
    return status_of_errno(errno);
}

/* ---- meta pages ---- */

static struct tree tree_of(const uint8_t *p)
{
    return (struct tree){.depth = native16(p + 6), .root = native64(p + 40)};
}

static enum status meta_check(struct page_file *f, const uint8_t *page, uint64_t number)
{
    const uint8_t *meta = page + HEADER_BYTES;
    uint32_t page_bytes = native32(meta + 24);

    if (!(native16(page + 10) & PAGE_META) || native32(meta) != MAGIC) {
        err_set(f->err, "not an LMDB file, or its page %llu is damaged; restore a backup",
                (unsigned long long)number);
        return STATUS_CORRUPT;
    }
    if (native32(meta + 4) != DATA_VERSION) {
        err_set(f->err, "written by another version of LMDB (data version %u)", native32(meta + 4));
        return STATUS_VERSION;
    }
    if (page_bytes < 512 || page_bytes > 65536 || (page_bytes & (page_bytes - 1)) != 0)
        return damaged(f, number, "has an impossible page size");
    return STATUS_OK;
}

static void meta_take(struct page_file *f, const uint8_t *page)
{
    const uint8_t *meta = page + HEADER_BYTES;

    f->facts = (struct page_file_facts){
        .page_bytes = native32(meta + 24),
        .map_bytes = native64(meta + 16),
        .last_page = native64(meta + 120),
        .transaction = native64(meta + 128),
    };
    f->free_list = tree_of(meta + 24);
    f->tables = tree_of(meta + 72);
}

/* The newer meta page, or that of one transaction. STATUS_MISMATCH: it has none any more. */
static enum status metas_read(struct page_file *f, uint64_t transaction)
{
    uint8_t page[META_BYTES];
    struct stat st;
    uint64_t first;
    enum status s;

    if (fstat(f->fd, &st) != 0)
        return status_of_errno(errno);
    f->file_bytes = (uint64_t)st.st_size;
    s = read_at(f, page, sizeof(page), 0);
    if (s == STATUS_OK)
        s = meta_check(f, page, 0);
    if (s != STATUS_OK)
        return s;
    meta_take(f, page);
    first = f->facts.transaction;
    s = read_at(f, page, sizeof(page), f->facts.page_bytes);
    if (s == STATUS_OK)
        s = meta_check(f, page, 1);
    if (s != STATUS_OK)
        return s;
    if (transaction == NEWEST ? native64(page + HEADER_BYTES + 128) > first : transaction != first)
        meta_take(f, page);
    if (transaction != NEWEST && f->facts.transaction != transaction)
        return STATUS_MISMATCH;
    if (f->facts.last_page < 1 || f->facts.last_page > (UINT64_MAX >> 17))
        return damaged(f, 0, "counts an impossible number of pages");
    f->pages_there = f->file_bytes / f->facts.page_bytes;
    f->pages_left = f->facts.last_page + 1;
    return STATUS_OK;
}

/* ---- pages ---- */

static enum status page_read(struct page_file *f, uint64_t number, uint8_t *page, unsigned flags)
{
    enum status s;

    if (number < 2 || number > f->facts.last_page)
        return damaged(f, number, "is named and does not exist");
    if (f->pages_left-- == 0)
        return damaged(f, number, "is part of a cycle");
    s = read_at(f, page, f->facts.page_bytes, number * f->facts.page_bytes);
    if (s != STATUS_OK)
        return s;
    if (native64(page) != number || (native16(page + 10) & 0x0f) != flags)
        return damaged(f, number, "is not what it should be");
    return STATUS_OK;
}

struct node {
    uint16_t flags;
    uint64_t child;    /* in a branch */
    struct bytes data; /* in a leaf: what lies in the node itself */
    uint32_t data_bytes;
};

static unsigned node_count(const uint8_t *page)
{
    return native16(page + 12) < HEADER_BYTES ? 0 : (native16(page + 12) - HEADER_BYTES) / 2u;
}

static enum status node_read(struct page_file *f, const uint8_t *page, unsigned index, bool is_leaf,
                             struct node *ret_node)
{
    uint32_t page_bytes = f->facts.page_bytes;
    uint32_t at = native16(page + HEADER_BYTES + 2 * index);
    uint32_t lower = native16(page + 12), upper = native16(page + 14);
    uint32_t low, high, key_bytes, used;

    if (lower > upper || upper > page_bytes || at < upper || at + NODE_BYTES > page_bytes)
        return damaged(f, native64(page), "has rows that overlap");
    low = native16(page + at);
    high = native16(page + at + 2);
    key_bytes = native16(page + at + 6);
    *ret_node = (struct node){.flags = native16(page + at + 4), .data_bytes = low | high << 16};
    ret_node->child = (uint64_t)ret_node->flags << 32 | ret_node->data_bytes;
    used = !is_leaf                            ? 0
           : (ret_node->flags & NODE_BIG) != 0 ? (uint32_t)sizeof(uint64_t)
                                               : ret_node->data_bytes;
    if (used > page_bytes || at + NODE_BYTES + key_bytes + used > page_bytes)
        return damaged(f, native64(page), "has a row that does not fit");
    ret_node->data = bytes_of(page + at + NODE_BYTES + key_bytes, used);
    return STATUS_OK;
}

/* Every row of a tree's leaves. */
typedef enum status each_row(struct page_file *f, const struct node *node);

static enum status tree_walk(struct page_file *f, uint64_t number, unsigned depth, each_row *each)
{
    CLEANUP(freep) uint8_t *page = malloc(f->facts.page_bytes);
    bool is_leaf = depth == 1;
    struct node node;
    enum status s;

    if (page == NULL)
        return STATUS_NO_MEMORY;
    s = page_read(f, number, page, is_leaf ? PAGE_LEAF : PAGE_BRANCH);
    for (unsigned i = 0; s == STATUS_OK && i < node_count(page); i++) {
        s = node_read(f, page, i, is_leaf, &node);
        if (s == STATUS_OK)
            s = is_leaf ? each(f, &node) : tree_walk(f, node.child, depth - 1, each);
    }
    return s;
}

static enum status tree_depth_check(struct page_file *f, struct tree tree)
{
    if (tree.depth == 0 || tree.depth > DEPTH_MAX)
        return damaged(f, tree.root, "is the root of an impossible tree");
    return STATUS_OK;
}

static enum status tree_check(struct page_file *f, struct tree tree, each_row *each)
{
    enum status s;

    if (tree.root == PAGE_NONE)
        return STATUS_OK;
    s = tree_depth_check(f, tree);
    return s == STATUS_OK ? tree_walk(f, tree.root, tree.depth, each) : s;
}

/* ---- tables ---- */

static enum status table_of(struct page_file *f, const struct node *node, struct tree *ret_tree)
{
    if ((node->flags & (NODE_TREE | NODE_BIG)) != NODE_TREE || node->data.len != TREE_BYTES)
        return damaged(f, f->tables.root, "lists something that is no table");
    *ret_tree = tree_of(node->data.data);
    return ret_tree->root == PAGE_NONE ? STATUS_OK : tree_depth_check(f, *ret_tree);
}

/* A table's root is what it says to be. */
static enum status each_table(struct page_file *f, const struct node *node)
{
    CLEANUP(freep) uint8_t *page = malloc(f->facts.page_bytes);
    struct tree tree;
    enum status s = table_of(f, node, &tree);

    if (page == NULL)
        return STATUS_NO_MEMORY;
    if (s != STATUS_OK || tree.root == PAGE_NONE)
        return s;
    return page_read(f, tree.root, page, tree.depth == 1 ? PAGE_LEAF : PAGE_BRANCH);
}

/* ---- the free list, where the file is short ---- */

static void count_missing(struct page_file *f, const uint8_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t number = native64(ids + 8 * i);

        if (number >= f->pages_there && number <= f->facts.last_page)
            f->missing++;
    }
}

/* What lies in overflow pages; the caller frees. */
static enum status read_big(struct page_file *f, const struct node *node, uint8_t **ret_data)
{
    CLEANUP(freep) uint8_t *page = malloc(f->facts.page_bytes);
    uint64_t first = native64(node->data.data);
    enum status s;

    *ret_data = NULL;
    if (node->data_bytes > f->file_bytes)
        return damaged(f, first, "is named and does not exist");
    *ret_data = malloc((size_t)node->data_bytes + 1);
    if (page == NULL || *ret_data == NULL)
        return STATUS_NO_MEMORY;
    s = page_read(f, first, page, PAGE_OVERFLOW);
    if (s != STATUS_OK)
        return s;
    return read_at(f, *ret_data, node->data_bytes, first * f->facts.page_bytes + HEADER_BYTES);
}

/* A row: how many, and that many page numbers. */
static enum status each_free_row(struct page_file *f, const struct node *node)
{
    CLEANUP(freep) uint8_t *big = NULL;
    struct bytes row = node->data;
    enum status s;

    if (node->flags & NODE_BIG) {
        s = read_big(f, node, &big);
        if (s != STATUS_OK)
            return s;
        row = bytes_of(big, node->data_bytes);
    }
    if (row.len < 8 || native64(row.data) > (row.len - 8) / 8)
        return damaged(f, f->free_list.root, "has a free list that does not add up");
    count_missing(f, row.data + 8, native64(row.data));
    return STATUS_OK;
}

static enum status length_check(struct page_file *f)
{
    enum status s;

    if (f->pages_there > f->facts.last_page)
        return STATUS_OK;
    s = tree_check(f, f->free_list, each_free_row);
    if (s != STATUS_OK)
        return s;
    if (f->missing == f->facts.last_page + 1 - f->pages_there)
        return STATUS_OK;
    err_set(f->err, "cut short: it has %llu bytes and needs %llu; restore a backup",
            (unsigned long long)f->file_bytes,
            (unsigned long long)((f->facts.last_page + 1) * f->facts.page_bytes));
    return STATUS_CORRUPT;
}

static enum status check_once(struct page_file *f)
{
    enum status s = metas_read(f, NEWEST);

    f->missing = 0;
    if (s == STATUS_OK)
        s = length_check(f);
    f->pages_left = f->facts.last_page + 1;
    return s == STATUS_OK ? tree_check(f, f->tables, each_table) : s;
}

static enum status page_file_open(struct page_file *f, const char *path)
{
    enum status s;

    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd >= 0)
        return STATUS_OK;
    s = status_of_errno(errno);
    err_set(f->err, "%s: %s", path, strerror(errno));
    return s;
}

static void page_file_close(struct page_file *f)
{
    closep(&f->fd);
}

enum status page_file_check(const char *path, struct page_file_facts *ret_facts, struct err *err)
{
    CLEANUP(page_file_close) struct page_file f = {.fd = -1, .err = err};
    uint64_t seen;
    enum status s = page_file_open(&f, path);

    if (s != STATUS_OK)
        return s;
    s = check_once(&f);
    for (int tries = 1; s == STATUS_CORRUPT && tries < TRIES_MAX; tries++) {
        seen = f.facts.transaction;
        if (metas_read(&f, NEWEST) != STATUS_OK || f.facts.transaction == seen)
            break;
        s = check_once(&f);
    }
    if (s != STATUS_OK)
        err_wrap(err, "%s", path);
    *ret_facts = f.facts;
    return s;
}

/* ---- one snapshot, deeper ---- */

static enum status each_data_row(struct page_file *f, const struct node *node)
{
    uint8_t header[HEADER_BYTES];
    uint64_t first, pages;
    enum status s;

    if ((node->flags & NODE_TREE) != 0)
        return damaged(f, f->tables.root, "has a table within a table");
    if ((node->flags & NODE_BIG) == 0)
        return STATUS_OK;
    first = native64(node->data.data);
    pages =
        (HEADER_BYTES + (uint64_t)node->data_bytes + f->facts.page_bytes - 1) / f->facts.page_bytes;
    if (first < 2 || first > f->facts.last_page || pages > f->facts.last_page + 1 - first)
        return damaged(f, first, "is named and does not exist");
    s = read_at(f, header, sizeof(header), first * f->facts.page_bytes);
    if (s != STATUS_OK)
        return s;
    if (native64(header) != first || (native16(header + 10) & 0x0f) != PAGE_OVERFLOW ||
        native32(header + 12) < pages || (first + pages) * f->facts.page_bytes > f->file_bytes)
        return damaged(f, first, "is not what it should be");
    return STATUS_OK;
}

static enum status each_table_wholly(struct page_file *f, const struct node *node)
{
    struct tree tree;
    enum status s = table_of(f, node, &tree);

    return s == STATUS_OK ? tree_check(f, tree, each_data_row) : s;
}

enum status page_file_check_trees(const char *path, uint64_t transaction, struct err *err)
{
    CLEANUP(page_file_close) struct page_file f = {.fd = -1, .err = err};
    enum status s = page_file_open(&f, path);

    if (s != STATUS_OK)
        return s;
    s = metas_read(&f, transaction);
    if (s == STATUS_OK)
        s = tree_check(&f, f.free_list, each_free_row);
    if (s == STATUS_OK)
        s = tree_check(&f, f.tables, each_table_wholly);
    if (status_is_fault(s))
        err_wrap(err, "%s", path);
    return s;
}

static enum status list_pages(struct page_file *f, uint64_t number, unsigned depth)
{
    CLEANUP(freep) uint8_t *page = NULL;
    struct node node;
    enum status s;

    f->each_page(f->context, number);
    if (depth == 1)
        return STATUS_OK;
    page = malloc(f->facts.page_bytes);
    if (page == NULL)
        return STATUS_NO_MEMORY;
    s = page_read(f, number, page, PAGE_BRANCH);
    for (unsigned i = 0; s == STATUS_OK && i < node_count(page); i++) {
        s = node_read(f, page, i, false, &node);
        if (s == STATUS_OK && (node.child < 2 || node.child > f->facts.last_page))
            s = damaged(f, node.child, "is named and does not exist");
        if (s == STATUS_OK)
            s = list_pages(f, node.child, depth - 1);
    }
    return s;
}

static enum status list_tree(struct page_file *f, struct tree tree)
{
    enum status s = tree.root == PAGE_NONE ? STATUS_OK : tree_depth_check(f, tree);

    if (s != STATUS_OK || tree.root == PAGE_NONE)
        return s;
    if (tree.root < 2 || tree.root > f->facts.last_page)
        return damaged(f, tree.root, "is named and does not exist");
    return list_pages(f, tree.root, tree.depth);
}

static enum status list_table(struct page_file *f, const struct node *node)
{
    struct tree tree;
    enum status s = table_of(f, node, &tree);

    return s == STATUS_OK ? list_tree(f, tree) : s;
}

enum status page_file_each_tree_page(const char *path, uint64_t transaction,
                                     void (*each)(void *context, uint64_t page), void *context,
                                     struct err *err)
{
    CLEANUP(page_file_close)
    struct page_file f = {.fd = -1, .err = err, .each_page = each, .context = context};
    enum status s = page_file_open(&f, path);

    if (s != STATUS_OK)
        return s;
    s = metas_read(&f, transaction);
    if (s == STATUS_OK)
        s = list_tree(&f, f.free_list);
    if (s == STATUS_OK)
        s = list_tree(&f, f.tables);
    if (s == STATUS_OK)
        s = tree_check(&f, f.tables, list_table);
    if (status_is_fault(s))
        err_wrap(err, "%s", path);
    return s;
}

/* ---- large rows ---- */

enum status page_each_large_row(const uint8_t *page, uint32_t page_bytes,
                                enum status (*each)(void *context, uint64_t first, uint64_t bytes),
                                void *context)
{
    struct page_file f = {.fd = -1, .facts.page_bytes = page_bytes};
    enum status s = STATUS_OK;
    struct node node;

    for (unsigned i = 0; s == STATUS_OK && i < node_count(page); i++) {
        s = node_read(&f, page, i, true, &node);
        if (s == STATUS_OK && (node.flags & NODE_BIG) != 0)
            s = each(context, native64(node.data.data), HEADER_BYTES + (uint64_t)node.data_bytes);
    }
    return s;
}

bool page_is_leaf(const uint8_t *page)
{
    return (native16(page + 10) & 0x0f) == PAGE_LEAF;
}

uint32_t page_large_row_pages(const uint8_t *page, uint64_t number)
{
    bool is_its = native64(page) == number && (native16(page + 10) & 0x0f) == PAGE_OVERFLOW;

    return is_its ? native32(page + 12) : 0;
}
