/*
 * Cells are kept as ranges of one text buffer; widths are counted when all are there.
 *
 * A terminal that is too narrow costs, in this order: the year and zone of times, the ends of long
 * texts, whole columns (the later ones first), and the rest of the texts. Ids and times are never
 * cut: half an id is of no use to anybody.
 */
#include "tools/grid.h"

#include "tools/text.h"

#define COLUMNS_MAX 64
#define NARROWEST 6    /* of a text, in columns that stay whatever happens */
#define COMFORTABLE 24 /* of a text; a column that cannot have it is left out */
#define ALWAYS_SHOWN 3
#define GAP "  "
#define GAP_WIDTH (sizeof(GAP) - 1)
#define ID_SUFFIX_CHARS 26
#define TIME_CHARS 20       /* "2026-11-20T13:00:00Z" */
#define SHORT_TIME_CHARS 14 /* "11-20 13:00:00" */

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

static struct bytes cell_text(const struct grid *grid, size_t row, size_t column)
{
    const struct cell *cell = cell_at(grid, row, column);
    return cell->len ? bytes_of(grid->text.data + cell->start, cell->len)
                     : bytes_of_str(GRID_NOTHING);
}

/* "wo_" and 26 digits of base 32. */
static bool is_id(struct bytes text)
{
    if (text.len < ID_SUFFIX_CHARS + 2 || text.data[text.len - ID_SUFFIX_CHARS - 1] != '_')
        return false;
    for (size_t i = text.len - ID_SUFFIX_CHARS; i < text.len; i++) {
        if (!memchr("0123456789abcdefghjkmnpqrstvwxyz", text.data[i], 32))
            return false;
    }
    return true;
}

static bool is_time(struct bytes text)
{
    static const char FORM[] = "0000-00-00T00:00:00Z";
    if (text.len != TIME_CHARS)
        return false;
    for (size_t i = 0; i < TIME_CHARS; i++) {
        bool is_digit = text.data[i] >= '0' && text.data[i] <= '9';
        if (FORM[i] == '0' ? !is_digit : text.data[i] != (uint8_t)FORM[i])
            return false;
    }
    return true;
}

/* How the table is laid out: what each column gets. */
struct layout {
    size_t widths[COLUMNS_MAX];
    bool is_shown[COLUMNS_MAX], can_be_cut[COLUMNS_MAX];
    bool has_short_times;
};

static size_t shown_width(const struct layout *layout, struct bytes text, size_t own)
{
    return layout->has_short_times && is_time(text) ? SHORT_TIME_CHARS : own;
}

/* The width of every column when nothing is cut. */
static void measure(const struct grid *grid, struct layout *layout)
{
    for (size_t i = 0; i < grid->column_count; i++) {
        const struct column *column = column_at(grid, i);
        layout->widths[i] = text_width(bytes_of_str(column->title));
        layout->is_shown[i] = true;
        layout->can_be_cut[i] = i && column->kind == COLUMN_TEXT;
        for (size_t row = 0; row < grid->row_count; row++) {
            struct bytes text = cell_text(grid, row, i);
            size_t width = shown_width(layout, text, cell_at(grid, row, i)->width);
            layout->widths[i] = width > layout->widths[i] ? width : layout->widths[i];
            if (is_id(text) || is_time(text))
                layout->can_be_cut[i] = false;
        }
    }
}

static size_t whole_width(const struct grid *grid, const struct layout *layout)
{
    size_t all = 0;
    for (size_t i = 0; i < grid->column_count; i++) {
        if (layout->is_shown[i])
            all += layout->widths[i] + (i ? GAP_WIDTH : 0);
    }
    return all;
}

/* Take from the widest text until the row fits or all are `narrowest`. */
static void cut(const struct grid *grid, struct layout *layout, size_t limit, size_t narrowest)
{
    for (size_t all = whole_width(grid, layout); all > limit; all--) {
        size_t widest = 0;
        for (size_t i = 1; i < grid->column_count; i++) {
            bool can_shrink =
                layout->is_shown[i] && layout->can_be_cut[i] && layout->widths[i] > narrowest;
            if (can_shrink && (!widest || layout->widths[i] > layout->widths[widest]))
                widest = i;
        }
        if (!widest)
            return;
        layout->widths[widest]--;
    }
}

/* Keep what comes first, states, and of the others those that still find room. */
static void choose_columns(const struct grid *grid, struct layout *layout, size_t limit)
{
    for (size_t i = ALWAYS_SHOWN; i < grid->column_count; i++)
        layout->is_shown[i] = column_at(grid, i)->kind == COLUMN_STATE;
    size_t all = whole_width(grid, layout);
    for (size_t i = ALWAYS_SHOWN; i < grid->column_count; i++) {
        size_t more = layout->widths[i] + GAP_WIDTH;
        if (layout->is_shown[i] || all + more > limit)
            continue;
        layout->is_shown[i] = true;
        all += more;
    }
}

static void fit(const struct grid *grid, struct layout *layout, size_t limit)
{
    if (whole_width(grid, layout) <= limit)
        return;
    layout->has_short_times = true;
    measure(grid, layout);
    cut(grid, layout, limit, COMFORTABLE);
    if (whole_width(grid, layout) <= limit)
        return;
    choose_columns(grid, layout, limit);
    cut(grid, layout, limit, NARROWEST);
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

static bool is_last_shown(const struct grid *grid, const struct layout *layout, size_t column)
{
    for (size_t i = column + 1; i < grid->column_count; i++) {
        if (layout->is_shown[i])
            return false;
    }
    return true;
}

static void put_head(const struct grid *grid, const struct layout *layout, bool has_colour,
                     struct buf *out)
{
    for (size_t i = 0; i < grid->column_count; i++) {
        const struct column *column = column_at(grid, i);
        if (!layout->is_shown[i])
            continue;
        buf_put_str(out, i ? GAP : "");
        put_cell(out, bytes_of_str(column->title), layout->widths[i], column->kind == COLUMN_NUMBER,
                 is_last_shown(grid, layout, i), has_colour ? "\033[1m" : "");
    }
    buf_put_char(out, '\n');
}

/* "2026-11-20T13:00:00Z" as "11-20 13:00:00". */
static void shorten_time(struct bytes time, char out[SHORT_TIME_CHARS + 1])
{
    memcpy(out, time.data + 5, SHORT_TIME_CHARS);
    out[5] = ' ';
    out[SHORT_TIME_CHARS] = 0;
}

static void put_row(const struct grid *grid, size_t row, const struct layout *layout,
                    bool has_colour, struct buf *out)
{
    for (size_t i = 0; i < grid->column_count; i++) {
        char short_time[SHORT_TIME_CHARS + 1];
        const struct column *column = column_at(grid, i);
        struct bytes text = cell_text(grid, row, i);
        if (!layout->is_shown[i])
            continue;
        if (layout->has_short_times && is_time(text)) {
            shorten_time(text, short_time);
            text = bytes_of_str(short_time);
        }
        bool is_coloured = has_colour && column->kind == COLUMN_STATE;
        buf_put_str(out, i ? GAP : "");
        put_cell(out, text, layout->widths[i], column->kind == COLUMN_NUMBER,
                 is_last_shown(grid, layout, i), is_coloured ? state_colour(text) : "");
    }
    buf_put_char(out, '\n');
}

static void put_left_out(const struct grid *grid, const struct layout *layout, struct buf *out)
{
    size_t count = 0;
    for (size_t i = 0; i < grid->column_count; i++) {
        if (!layout->is_shown[i])
            buf_printf(out, "%s%s", count++ ? ", " : "(no room for: ", column_at(grid, i)->title);
    }
    buf_put_str(out, count ? ")\n" : "");
}

void grid_put(struct grid *grid, struct output_terminal terminal, struct buf *out)
{
    struct layout layout = {.has_short_times = false};
    if (grid->cells.status != STATUS_OK || grid->text.status != STATUS_OK)
        return;
    measure(grid, &layout);
    if (terminal.width)
        fit(grid, &layout, terminal.width);
    put_head(grid, &layout, terminal.has_colour, out);
    for (size_t row = 0; row < grid->row_count; row++)
        put_row(grid, row, &layout, terminal.has_colour, out);
    put_left_out(grid, &layout, out);
}
