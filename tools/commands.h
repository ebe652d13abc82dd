/*
 * commands: the functions behind the table, one file of them a noun. Each prints what it has to say
 * to tool->out and answers DONE, FAILED or USAGE.
 */
#pragma once

#include "tools/tool.h"

/* How the audit's detail of a "keys delete" begins: with the key's number. */
#define DELETED_KEY_DETAIL "number=%u "

int keys_create(struct tool *tool, const struct args *args);
int keys_list(struct tool *tool, const struct args *args);
int keys_show(struct tool *tool, const struct args *args);
int keys_update(struct tool *tool, const struct args *args);
int keys_enable(struct tool *tool, const struct args *args);
int keys_disable(struct tool *tool, const struct args *args);
int keys_rotate(struct tool *tool, const struct args *args);
int keys_delete(struct tool *tool, const struct args *args);

int records_list(struct tool *tool, const struct args *args);
int records_get(struct tool *tool, const struct args *args);
int records_history(struct tool *tool, const struct args *args);
int records_export(struct tool *tool, const struct args *args);
int records_erase(struct tool *tool, const struct args *args);

int endpoints_create(struct tool *tool, const struct args *args);
int endpoints_list(struct tool *tool, const struct args *args);
int endpoints_show(struct tool *tool, const struct args *args);
int endpoints_update(struct tool *tool, const struct args *args);
int endpoints_enable(struct tool *tool, const struct args *args);
int endpoints_disable(struct tool *tool, const struct args *args);
int endpoints_rotate_secret(struct tool *tool, const struct args *args);
int endpoints_drop_secret(struct tool *tool, const struct args *args);
int endpoints_test(struct tool *tool, const struct args *args);
int endpoints_delete(struct tool *tool, const struct args *args);

int events_list(struct tool *tool, const struct args *args);
int events_show(struct tool *tool, const struct args *args);
int events_tail(struct tool *tool, const struct args *args);

int deliveries_list(struct tool *tool, const struct args *args);
int deliveries_show(struct tool *tool, const struct args *args);
int deliveries_retry(struct tool *tool, const struct args *args);
int deliveries_replay(struct tool *tool, const struct args *args);

int rejections_list(struct tool *tool, const struct args *args);

int schemas_list(struct tool *tool, const struct args *args);
int schemas_show(struct tool *tool, const struct args *args);
int schemas_check(struct tool *tool, const struct args *args);
int schemas_validate(struct tool *tool, const struct args *args);

int store_stat_command(struct tool *tool, const struct args *args);
int store_check_command(struct tool *tool, const struct args *args);
int store_backup_command(struct tool *tool, const struct args *args);
int store_restore_command(struct tool *tool, const struct args *args);

int status_command(struct tool *tool, const struct args *args);
int reports_create(struct tool *tool, const struct args *args);
int reports_list(struct tool *tool, const struct args *args);
int reports_delete(struct tool *tool, const struct args *args);
int audit_list(struct tool *tool, const struct args *args);
int listen_command(struct tool *tool, const struct args *args);
int verify_command(struct tool *tool, const struct args *args);
int help_command(struct tool *tool, const struct args *args);
int completion_command(struct tool *tool, const struct args *args);
