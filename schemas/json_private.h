/* json_private: shared by the json_*.c files, for no one else. */
#pragma once

#include "schemas/json.h"

/* The longest prefix of at most `max` bytes that ends between characters. */
size_t json_cut_utf8(struct bytes text, size_t max);
