/*
 * grid: rows of cells, aligned. A part of output.
 */
#pragma once

#include "tools/output.h"

/* What stands for a value that is null, empty or absent. */
#define GRID_NOTHING "-"

struct grid {
    const struct column *columns;
    size_t column_count; /* those with a title */
    struct buf text;     /* of all cells */
    struct buf cells;    /* struct cell each, row after row */
    size_t row_count;
};

void grid_begin(struct grid *grid, const struct column *columns);
void grid_row(struct grid *grid);
/* Set the cell of that name in the last row; names without a column are left out. */
void grid_cell(struct grid *grid, const char *name, struct bytes visible);
/* Append the aligned table. To fit the terminal times are shortened, long texts cut with "…" and
 * later columns left out and named below; ids and times are never cut. */
void grid_put(struct grid *grid, struct output_terminal terminal, struct buf *out);
void grid_fini(struct grid *grid);

/* Escape sequence that starts the colour of a word of state ("failed": red); "" for others. */
const char *state_colour(struct bytes word);
