/*
 * Cells are kept as ranges of one text buffer; widths are counted when all are there.
 */
#include "tools/grid.h"

#include "tools/text.h"

#define COLUMNS_MAX 64
#define NARROWEST 6
#define GAP "  "

struct cell {
    size_t start, len;
    size_t width;
};

static const struct {
    const char *word, *colour;
} STATES[] = {
    {"enabled", "\033[32m"},   {"delivered", "\033[32m"}, {"good", "\033[32m"},
    {"ok", "\033[32m"},        {"running", "\033[32m"},   {"pending", "\033[33m"},
    {"expired", "\033[33m"},   {"disabled", "\033[31m"},  {"failed", "\033[31m"},
    {"bad", "\033[31m"},       {"deleted", "\033[31m"},   {"failing", "\033[31m"},
    {"stopped", "\033[31m"},   {"malformed", "\033[31m"}, {"too old", "\033[31m"},
    {"too small", "\033[31m"},
};

const char *state_colour(struct bytes word)
{
    for (size_t i = 0; i < sizeof(STATES) / sizeof(*STATES); i++) {
        if (bytes_equal_str(word, STATES[i].word))
            return STATES[i].colour;
    }
    return "";
}

void grid_begin(struct grid *grid, const struct column *columns)
{
    *grid = (struct grid){.columns = columns};
    for (const struct column *c = columns; c->name; c++)
        grid->column_count += c->title != NULL;
    if (grid->column_count > COLUMNS_MAX)
        grid->column_count = COLUMNS_MAX;
}

void grid_fini(struct grid *grid)
{
    buf_fini(&grid->text);
    buf_fini(&grid->cells);
    *grid = (struct grid){0};
}

void grid_row(struct grid *grid)
{
    for (size_t i = 0; i < grid->column_count; i++)
        buf_put(&grid->cells, &(struct cell){0}, sizeof(struct cell));
    grid->row_count++;
}

static struct cell *cell_at(const struct grid *grid, size_t row, size_t column)
{
    return (struct cell *)(void *)grid->cells.data + row * grid->column_count + column;
}

static const struct column *column_at(const struct grid *grid, size_t index)
{
    const struct column *c = grid->columns;
    for (size_t i = 0;; c++) {
        if (c->title && i++ == index)
            return c;
    }
}

void grid_cell(struct grid *grid, const char *name, struct bytes visible)
{
    if (!grid->row_count || grid->cells.status != STATUS_OK)
        return;
    for (size_t i = 0; i < grid->column_count; i++) {
        if (strcmp(column_at(grid, i)->name, name))
            continue;
        struct cell *cell = cell_at(grid, grid->row_count - 1, i);
        *cell = (struct cell){grid->text.len, visible.len, text_width(visible)};
        buf_put_bytes(&grid->text, visible);
    }
}

static size_t measure(const struct grid *grid, size_t widths[COLUMNS_MAX])
{
    size_t all = 0;
    for (size_t i = 0; i < grid->column_count; i++) {
        widths[i] = text_width(bytes_of_str(column_at(grid, i)->title));
        for (size_t row = 0; row < grid->row_count; row++) {
            size_t width = cell_at(grid, row, i)->width;
            widths[i] = width > widths[i] ? width : widths[i];
        }
        all += widths[i] + (i ? strlen(GAP) : 0);
    }
    return all;
}

/* Take columns from the widest text until the row fits. Ids (the first column), numbers and states
 * stay whole: they are what people copy. */
static void shrink(const struct grid *grid, size_t widths[COLUMNS_MAX], size_t all, size_t limit)
{
    while (all > limit) {
        size_t widest = 0;
        for (size_t i = 1; i < grid->column_count; i++) {
            bool can_shrink = column_at(grid, i)->kind == COLUMN_TEXT && widths[i] > NARROWEST;
            if (can_shrink && (!widest || widths[i] > widths[widest]))
                widest = i;
        }
        if (!widest)
            return;
        widths[widest]--;
        all--;
    }
}

static void put_padding(struct buf *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_put_char(out, ' ');
}

static void put_cell(struct buf *out, struct bytes text, size_t width, bool is_right, bool is_last,
                     const char *colour)
{
    size_t own = text_width(text);
    bool is_cut = own > width;
    if (is_cut) {
        text = text_fit(text, width - 1);
        own = text_width(text) + 1;
    }
    if (is_right)
        put_padding(out, width - own);
    buf_put_str(out, colour);
    buf_put_bytes(out, text);
    if (is_cut)
        buf_put_str(out, "…");
    if (*colour)
        buf_put_str(out, "\033[0m");
    if (!is_right && !is_last)
        put_padding(out, width - own);
}

static void put_head(const struct grid *grid, const size_t *widths, bool has_colour,
                     struct buf *out)
{
    for (size_t i = 0; i < grid->column_count; i++) {
        const struct column *column = column_at(grid, i);
        buf_put_str(out, i ? GAP : "");
        put_cell(out, bytes_of_str(column->title), widths[i], column->kind == COLUMN_NUMBER,
                 i + 1 == grid->column_count, has_colour ? "\033[1m" : "");
    }
    buf_put_char(out, '\n');
}

static void put_row(const struct grid *grid, size_t row, const size_t *widths, bool has_colour,
                    struct buf *out)
{
    for (size_t i = 0; i < grid->column_count; i++) {
        const struct column *column = column_at(grid, i);
        const struct cell *cell = cell_at(grid, row, i);
        struct bytes text = bytes_of_str(GRID_NOTHING);
        if (cell->len)
            text = bytes_of(grid->text.data + cell->start, cell->len);
        bool is_coloured = has_colour && column->kind == COLUMN_STATE;
        buf_put_str(out, i ? GAP : "");
        put_cell(out, text, widths[i], column->kind == COLUMN_NUMBER, i + 1 == grid->column_count,
                 is_coloured ? state_colour(text) : "");
    }
    buf_put_char(out, '\n');
}

void grid_put(struct grid *grid, struct output_terminal terminal, struct buf *out)
{
    size_t widths[COLUMNS_MAX];
    if (grid->cells.status != STATUS_OK || grid->text.status != STATUS_OK)
        return;
    size_t all = measure(grid, widths);
    if (terminal.width)
        shrink(grid, widths, all, terminal.width);
    put_head(grid, widths, terminal.has_colour, out);
    for (size_t row = 0; row < grid->row_count; row++)
        put_row(grid, row, widths, terminal.has_colour, out);
}
