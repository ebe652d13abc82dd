/*
 * khash: the least that <h2o/http2_internal.h> needs to compile. The header includes klib's
 * khash.h, which no Debian package ships; only a pointer to the table is part of h2o's structs.
 *
 * Streams are not looked up through it: the guard keeps its own list per connection
 * (http_private.h), and h2o_http2_conn_get_stream always answers NULL here.
 */
#pragma once

typedef unsigned khiter_t;

#define khash_t(name) struct khash_opaque_##name
#define KHASH_MAP_INIT_INT64(name, type) struct khash_opaque_##name;
#define kh_get(name, table, key) ((void)(table), (void)(key), (khiter_t)0)
#define kh_end(table) ((void)(table), (khiter_t)0)
#define kh_val(table, iterator) ((void)(table), (void)(iterator), (h2o_http2_stream_t *)0)
