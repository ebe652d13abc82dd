/*
 * posternd: start, serve, reload, stop.
 *
 * Start: settings, store, vault, certificate, record types; then the process gives up what it will
 * not need (hardening.h); then the threads from the inside out: writer, delivery, HTTP. Stop goes
 * the other way: no new requests, answers for those in flight, attempts in flight, what is queued,
 * and the store last. Whatever fails on the way says so in one sentence, and everything started
 * before is stopped again.
 *
 * Exit: 0 after SIGTERM or SIGINT; 2 bad usage, settings or schemas; 1 it failed while running.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/random.h"
#include "base/streams.h"
#include "ingest/app.h"
#include "ingest/hardening.h"
#include "ingest/housekeeping.h"
#include "ingest/reporter.h"
#include "ingest/run_file.h"
#include "ingest/settings.h"
#include "ingest/space_probe.h"
#include "ingest/tally.h"
#include "ingest/tls.h"
#include "storage/fault.h"
#include "storage/vault.h"

#include <curl/curl.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#ifndef POSTERN_VERSION
#error "the build defines POSTERN_VERSION"
#endif

enum exit_code { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#define DRAIN_MS 7000         /* for answers in flight */
#define DELIVER_DRAIN_MS 2000 /* attempts cut then are still due: nothing is lost */
#define TICK_MS 200
#define SWEEP_TICKS 300  /* once a minute */
#define ANNOUNCE_TICKS 5 /* once a second */
#define MAPPED_BLOCK_BYTES (1024 * 1024)
#define SURPLUS_BYTES ((size_t)32 * 1024 * 1024) /* of bodies held at once: a surplus … */
#define QUIET_BYTES ((size_t)4 * 1024 * 1024)    /* … which is over when so few are left */
#define LISTENERS_MAX (2 * SETTINGS_LISTENERS_MAX + 1)

struct server {
    struct settings settings;
    int argc;
    char **argv, **environment;
    struct store *store;
    struct vault *vault;
    struct subscriptions *subscriptions;
    struct app *app;
    struct http_listen listeners[LISTENERS_MAX];
    size_t listener_count;
    char *tls_cert, *tls_key;
    struct housekeeping housekeeping;
    struct reporter *reporter;
    struct space_probe space_probe;
    bool is_announced; /* the run file is written */
    uv_loop_t loop;
    uv_signal_t sigterm, sigint, sighup;
    uv_timer_t timer;
    unsigned ticks;
    bool had_surplus; /* whose memory was not given back yet */
};

/* As many descriptors as allowed: each connection is one. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit); /* as it was, if refused: the server's cap follows it */
    }
}

/* The files that settings name, before anything is opened or made. */
static enum status check_files(const struct settings *settings, struct err *err)
{
    enum status s = STATUS_OK;
    struct stat stat_of;
    if (stat(settings->data, &stat_of) == 0 && !S_ISDIR(stat_of.st_mode)) {
        err_set(err, "setting data: %s is no directory", settings->data);
        return STATUS_INVALID;
    }
    if (settings->tls_cert) {
        SSL_CTX *context = NULL;
        s = tls_context_new(settings->tls_cert, settings->tls_key, &context, err);
        SSL_CTX_free(context);
    }
    if (s == STATUS_OK && settings->deliver_ca) {
        s = tls_check_authorities(settings->deliver_ca, err);
        if (s != STATUS_OK)
            err_wrap(err, "setting deliver-ca");
    }
    if (s == STATUS_OK && settings->master_key_file) {
        struct vault *vault = NULL;
        s = vault_open(settings->master_key_file, false, &vault, err);
        vault_free(vault);
        if (s != STATUS_OK)
            err_wrap(err, "setting master-key-file");
    }
    return s == STATUS_OK || s == STATUS_NO_MEMORY ? s : STATUS_INVALID;
}

/* Is anything sealed in there? Then a master key that is not there must not be made anew. */
static bool has_endpoints(struct store *store)
{
    struct txn *txn = NULL;
    struct endpoint *endpoint = malloc(sizeof(*endpoint));
    uint32_t number = 0;
    bool has_any = endpoint && txn_read(store, &txn) == STATUS_OK &&
                   endpoint_next(txn, &number, endpoint) == STATUS_OK;
    txn_abort(txn);
    free(endpoint);
    return has_any;
}

static enum status open_vault(struct server *server, struct err *err)
{
    const struct settings *settings = &server->settings;
    if (settings->master_key_file)
        return vault_open(settings->master_key_file, false, &server->vault, err);
    CLEANUP(buf_fini) struct buf path = {0};
    buf_printf(&path, "%s/master.key", settings->data);
    bool can_create = !has_endpoints(server->store);
    enum status s = vault_open(buf_str(&path), can_create, &server->vault, err);
    if (s == STATUS_NOT_FOUND)
        err_set(err,
                "%s is not there, and the endpoints' secrets are sealed with it: put the file back "
                "(a backup does not hold it), or delete the endpoints",
                buf_str(&path));
    return s;
}

/* The operator's pair, or our own in DIR/tls/, made when it is not there. */
static enum status find_certificate(struct server *server, struct err *err)
{
    const struct settings *settings = &server->settings;
    if (settings->tls_cert) {
        server->tls_cert = strdup(settings->tls_cert);
        server->tls_key = strdup(settings->tls_key);
        return server->tls_cert && server->tls_key ? STATUS_OK : STATUS_NO_MEMORY;
    }
    CLEANUP(buf_fini) struct buf dir = {0};
    buf_printf(&dir, "%s/tls", settings->data);
    if (asprintf(&server->tls_cert, "%s/cert.pem", buf_str(&dir)) < 0 ||
        asprintf(&server->tls_key, "%s/key.pem", buf_str(&dir)) < 0)
        return STATUS_NO_MEMORY;
    if (access(server->tls_cert, F_OK) == 0 && access(server->tls_key, F_OK) == 0)
        return STATUS_OK;
    enum status s = tls_make_self_signed(server->tls_cert, server->tls_key, err);
    if (s == STATUS_OK)
        log_info("made a self-signed certificate", LOG_STR("file", server->tls_cert));
    return s;
}

static enum status open_store(struct server *server, struct err *err)
{
    const struct settings *settings = &server->settings;
    enum status s = store_open(&(struct store_options){.dir = settings->data, .mode = STORE_SERVE},
                               &server->store, err);
    if (s != STATUS_OK)
        return s;
    return open_vault(server, err);
}

static void app_configure(struct app *app, const struct server *server)
{
    const struct settings *settings = &server->settings;
    app->store = server->store;
    app->clock = &SYSTEM_CLOCK;
    app->version = POSTERN_VERSION;
    app->max_body = settings->max_body;
    app->loop_count = settings->threads < LOOPS_MAX ? settings->threads : LOOPS_MAX;
    atomic_store(&app->limit_minute, settings->limit_minute);
    atomic_store(&app->limit_hour, settings->limit_hour);
}

/* A mistyped type must not leave records there for ever in silence. */
static enum status check_retained(const struct settings *settings,
                                  bool (*is_type)(const void *types, struct bytes name),
                                  const void *types, struct err *err)
{
    for (size_t i = 0; i < settings->retain_record_count; i++) {
        const char *type = settings->retain_records[i].type;
        if (!is_type(types, bytes_of_str(type))) {
            err_set(err, "setting retain-records: the schemas have no record type \"%s\"", type);
            return STATUS_INVALID;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(settings->retain_records[j].type, type) == 0) {
                err_set(err, "setting retain-records: \"%s\" is there twice", type);
                return STATUS_INVALID;
            }
        }
    }
    return STATUS_OK;
}

static bool is_served(const void *catalog, struct bytes name)
{
    return catalog_find(catalog, name) != NULL;
}

static bool is_loaded(const void *types, struct bytes name)
{
    return record_types_find(types, name) != NULL;
}

static enum status make_app(struct server *server, struct err *err)
{
    server->app = calloc(1, sizeof *server->app);
    server->subscriptions = subscriptions_new();
    if (!server->app || !server->subscriptions)
        return STATUS_NO_MEMORY;
    app_configure(server->app, server);
    enum status s = catalog_load(server->settings.schemas, POSTERN_VERSION, server->store,
                                 clock_wall_ms(&SYSTEM_CLOCK), &server->app->catalog, err);
    if (s == STATUS_OK)
        s = check_retained(&server->settings, is_served, server->app->catalog, err);
    if (s == STATUS_OK)
        s = app_init(server->app, server->subscriptions, err);
    if (s == STATUS_OK) /* later, the keys are the loops' to replace */
        log_info("loaded", LOG_INT("record_types", catalog_count(server->app->catalog)),
                 LOG_INT("api_keys", keyring_count(server->app->keyring)));
    return s;
}

static enum status start_writer(struct server *server, struct err *err)
{
    enum status s = writer_start(&(struct writer_options){.store = server->store,
                                                          .clock = &SYSTEM_CLOCK,
                                                          .committed = app_committed,
                                                          .context = server->app},
                                 &server->app->writer);
    if (s != STATUS_OK)
        err_set(err, "start the writer: %s", status_text(s));
    housekeeping_init(&server->housekeeping, server->app->writer, &server->settings);
    space_probe_init(&server->space_probe, server->app);
    server->reporter = reporter_new(server->app, server->subscriptions, &server->loop);
    return s == STATUS_OK && !server->reporter ? STATUS_NO_MEMORY : s;
}

static struct deliver_options deliver_options_of(const struct server *server)
{
    const struct settings *settings = &server->settings;
    return (struct deliver_options){
        .store = server->store,
        .writer = server->app->writer,
        .subscriptions = server->subscriptions,
        .vault = server->vault,
        .clock = &SYSTEM_CLOCK,
        .user_agent = "Postern/" POSTERN_VERSION,
        .allow = settings->deliver_allow,
        .allow_count = settings->deliver_allow_count,
        .is_http_allowed = settings->deliver_http,
        .ca_file = settings->deliver_ca,
        .timeout_ms = settings->deliver_timeout_ms,
        .retry_s = settings->retry_s,
        .retry_count = settings->retry_count,
    };
}

static void list_listeners(struct server *server)
{
    const struct settings *settings = &server->settings;
    struct http_listen *at = server->listeners;
    for (size_t i = 0; i < settings->listen_count; i++)
        *at++ = (struct http_listen){HTTP_TLS, settings->listen[i]};
    for (size_t i = 0; i < settings->listen_cleartext_count; i++)
        *at++ = (struct http_listen){HTTP_CLEARTEXT, settings->listen_cleartext[i]};
    *at++ = (struct http_listen){HTTP_ADMIN, settings->admin_listen};
    server->listener_count = (size_t)(at - server->listeners);
}

static enum status start_http(struct server *server, struct err *err)
{
    list_listeners(server);
    struct http_server_options options = {
        .listeners = server->listeners,
        .listener_count = server->listener_count,
        .threads = server->app->loop_count,
        .tls_cert = server->tls_cert,
        .tls_key = server->tls_key,
        .body_bytes_max = server->settings.max_body,
        .context = server->app,
        .handle = app_handle,
        .loop_start = app_loop_start,
        .loop_tick = app_loop_tick,
    };
    enum status s = http_server_start(&options, &server->app->server, err);
    for (size_t i = 0; i < server->listener_count; i++)
        server->listeners[i].address = NULL; /* a setting's, which a reload replaces */
    return s;
}

/* A server that starts on a full disk can read and deliver: it goes on without the run file, and
 * on_timer tries again. */
static enum status announce(struct server *server, struct err *err)
{
    enum status s = run_file_write(&server->settings, POSTERN_VERSION, server->app->server,
                                   server->listeners, server->listener_count, err);
    server->is_announced = s == STATUS_OK;
    return s == STATUS_NO_SPACE ? STATUS_OK : s;
}

static enum status start(struct server *server, struct err *err)
{
    enum status s = check_files(&server->settings, err);
    if (s == STATUS_OK)
        s = open_store(server, err);
    if (s == STATUS_OK)
        s = find_certificate(server, err);
    if (s == STATUS_OK)
        s = make_app(server, err);
    if (s == STATUS_OK) {
        hardening_apply(&server->settings); /* now: threads inherit it, and there are none yet */
        s = start_writer(server, err);
    }
    if (s == STATUS_OK) {
        struct deliver_options options = deliver_options_of(server);
        s = deliver_start(&options, &server->app->deliver, err);
    }
    return s == STATUS_OK ? start_http(server, err) : s;
}

static void stop(struct server *server)
{
    struct app *app = server->app;
    if (app) {
        atomic_store(&app->is_draining, true);
        if (app->server) {
            http_server_stop(app->server, DRAIN_MS);
            for (unsigned i = 0; i < app->loop_count; i++)
                tally_flush(app->loops[i].tally, app->writer, app_now_ms(app), true);
            run_file_remove(&server->settings);
        }
        if (app->deliver)
            deliver_stop(app->deliver, DELIVER_DRAIN_MS);
        if (app->writer)
            writer_stop(app->writer);
        deliver_free(app->deliver);      /* only now: the writer may have woken it to its end */
        reporter_free(server->reporter); /* idle: its last work went through the writer */
        app_fini(app);
        free(app);
    }
    subscriptions_free(server->subscriptions);
    vault_free(server->vault);
    store_close(server->store);
    free(server->tls_cert);
    free(server->tls_key);
}

static bool reload_certificate(struct server *server)
{
    struct err err = {0};
    if (http_server_reload_tls(server->app->server, server->tls_cert, server->tls_key, &err) ==
        STATUS_OK)
        return true;
    log_error("reload: the certificate stays as it was", LOG_STR("error", err.text));
    return false;
}

static bool reload_catalog(struct server *server)
{
    struct err err = {0};
    struct catalog *catalog = NULL;
    if (catalog_load(server->settings.schemas, POSTERN_VERSION, server->store,
                     clock_wall_ms(&SYSTEM_CLOCK), &catalog, &err) == STATUS_OK) {
        app_set_catalog(server->app, catalog);
        fault_point("types_reloaded");
        return true;
    }
    log_error("reload: the schemas stay as they were", LOG_STR("error", err.text));
    return false;
}

/* Those that can change while running: limits, log level, delivery's rules and schedule. What is
 * bound, opened or sized stays: listeners, data directory, threads, body limit. */
static bool reload_settings(struct server *server)
{
    struct err err = {0};
    struct settings fresh = {0};
    if (settings_read(&fresh, server->argc, server->argv, server->environment, &err) != STATUS_OK) {
        log_error("reload: the settings stay as they were", LOG_STR("error", err.text));
        settings_fini(&fresh);
        return false;
    }
    atomic_store(&server->app->limit_minute, fresh.limit_minute);
    atomic_store(&server->app->limit_hour, fresh.limit_hour);
    log_set_level(fresh.log_level);
    struct settings old = server->settings;
    server->settings = fresh;
    struct deliver_options options = deliver_options_of(server);
    deliver_reload(server->app->deliver, &options);
    settings_fini(&old);
    if (run_file_write(&server->settings, POSTERN_VERSION, server->app->server, server->listeners,
                       server->listener_count, &err) == STATUS_OK)
        return true;
    log_error("reload: cannot write the run file", LOG_STR("error", err.text));
    return false;
}

static void reload(struct server *server)
{
    log_info("reloading");
    bool has_settings = reload_settings(server);
    bool has_certificate = reload_certificate(server);
    bool has_catalog = reload_catalog(server);
    if (has_settings && has_certificate && has_catalog)
        log_info("reloaded", LOG_INT("record_types", catalog_count(server->app->catalog)));
    else
        log_warn("reloaded in part: what was wrong stays as it was");
}

static void on_stop_signal(uv_signal_t *signal, int number)
{
    log_info("stopping", LOG_STR("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"));
    uv_stop(signal->loop);
}

static void on_reload_signal(uv_signal_t *signal, int number)
{
    (void)number;
    reload(signal->data);
}

/* malloc keeps what a surplus of large bodies leaves free, in pieces: 600 MiB for good. So the
 * largest blocks are mapped, each by itself, which also keeps the peak within its bound; mapping
 * smaller ones too cost a quarter of the rate of batches. The rest is given back here. */
static void give_back_memory(struct server *server)
{
    struct http_server_stats stats;
    if (server->app->server == NULL)
        return;
    http_server_stats(server->app->server, &stats);
    size_t held = stats.inflight_bytes + atomic_load(&server->app->submitted_bytes);
    if (held >= SURPLUS_BYTES) {
        server->had_surplus = true;
    } else if (server->had_surplus && held <= QUIET_BYTES) {
        server->had_surplus = false;
        (void)malloc_trim(0); /* 0: there was nothing to give back */
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct server *server = timer->data;
    enum status s = app_refresh(server->app);
    if (s != STATUS_OK && server->ticks % SWEEP_TICKS == 0)
        log_warn("cannot read the store", LOG_STR("error", status_text(s)));
    housekeeping_tick(&server->housekeeping, clock_monotonic_ms(&SYSTEM_CLOCK));
    space_probe_tick(&server->space_probe, server->settings.data,
                     clock_monotonic_ms(&SYSTEM_CLOCK));
    reporter_tick(server->reporter);
    give_back_memory(server);
    if (!server->is_announced && server->ticks % ANNOUNCE_TICKS == 0)
        (void)announce(server, &(struct err){0}); /* not being able to was logged at start */
    if (++server->ticks % SWEEP_TICKS == 0)
        limiter_sweep(server->app->limiter, app_now_ms(server->app));
}

static void say_ready(const struct server *server)
{
    printf("posternd: ready");
    for (size_t i = 0; i < server->listener_count; i++)
        printf("%s %s", server->listeners[i].kind == HTTP_ADMIN ? " admin" : "",
               http_server_url(server->app->server, i));
    putchar('\n');
    fflush(stdout);
}

static void watch_signals(struct server *server)
{
    uv_signal_t *const signals[] = {&server->sigterm, &server->sigint, &server->sighup};
    static const int NUMBERS[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < 3; i++) {
        uv_signal_init(&server->loop, signals[i]);
        signals[i]->data = server;
        uv_signal_start(signals[i], NUMBERS[i] == SIGHUP ? on_reload_signal : on_stop_signal,
                        NUMBERS[i]);
    }
}

/* Says where it serves, and does, until it is told to stop. Signals are watched first: who has read
 * the run file may send one. */
static enum status serve(struct server *server, struct err *err)
{
    watch_signals(server);
    uv_timer_init(&server->loop, &server->timer);
    server->timer.data = server;
    enum status s = announce(server, err);
    if (s == STATUS_OK) {
        if (!server->is_announced)
            log_error("the disk is full: no run file yet", LOG_STR("error", err->text));
        log_info("serving", LOG_STR("version", POSTERN_VERSION));
        uv_timer_start(&server->timer, on_timer, TICK_MS, TICK_MS);
        say_ready(server);
        uv_run(&server->loop, UV_RUN_DEFAULT);
    }
    uv_close((uv_handle_t *)&server->sigterm, NULL);
    uv_close((uv_handle_t *)&server->sigint, NULL);
    uv_close((uv_handle_t *)&server->sighup, NULL);
    uv_close((uv_handle_t *)&server->timer, NULL);
    uv_run(&server->loop, UV_RUN_DEFAULT); /* they close, and a report is counted to its end */
    return s;
}

static int exit_code_of(enum status s)
{
    return s == STATUS_OK ? EXIT_FINE : s == STATUS_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

static int run(struct server *server)
{
    struct err err = {0};
    log_init(server->settings.log_format, server->settings.log_level);
    raise_descriptor_limit();
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_BLOCK_BYTES); /* or it is raised: see give_back_memory */
    signal(SIGPIPE, SIG_IGN);
    if (uv_loop_init(&server->loop) != 0) {
        fprintf(stderr, "posternd: cannot make the main loop\n");
        return EXIT_FAILED;
    }
    enum status s = start(server, &err);
    if (s == STATUS_OK)
        s = serve(server, &err);
    if (s != STATUS_OK)
        fprintf(stderr, "posternd: %s\n", err.text[0] ? err.text : status_text(s));
    stop(server);
    uv_loop_close(&server->loop);
    if (s == STATUS_OK)
        log_info("stopped");
    return exit_code_of(s);
}

/* Settings were read; are the files that they name in order? */
static int check(const struct settings *settings)
{
    struct err err = {0};
    struct record_types *types = NULL;
    enum status s = check_files(settings, &err);
    if (s == STATUS_OK)
        s = record_types_load(settings->schemas, &types, &err);
    if (s == STATUS_OK)
        s = check_retained(settings, is_loaded, types, &err);
    if (s != STATUS_OK)
        fprintf(stderr, "posternd: %s\n", err.text[0] ? err.text : status_text(s));
    else
        printf("posternd: settings and %zu record types are fine\n", record_types_count(types));
    record_types_unref(types);
    return s == STATUS_OK ? EXIT_FINE : EXIT_USAGE;
}

static int health(const struct settings *settings)
{
    struct err err = {0};
    if (run_file_health(settings, &err) == STATUS_OK)
        return EXIT_FINE;
    fprintf(stderr, "posternd: %s\n", err.text);
    return EXIT_FAILED;
}

static int help(void)
{
    struct buf text = {0};
    settings_put_help(&text);
    fputs(buf_str(&text), stdout);
    buf_fini(&text);
    return EXIT_FINE;
}

int main(int argc, char **argv, char **environment)
{
    streams_keep_standard();
    struct server server = {.argc = argc, .argv = argv, .environment = environment};
    struct err err = {0};
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    json_seed(seed);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int code = EXIT_FINE;
    if (settings_read(&server.settings, argc, argv, environment, &err) != STATUS_OK) {
        fprintf(stderr, "posternd: %s\nTry 'posternd --help'.\n", err.text);
        code = EXIT_USAGE;
    } else {
        switch (server.settings.command) {
        case SETTINGS_SERVE:
            code = run(&server);
            break;
        case SETTINGS_CHECK:
            code = check(&server.settings);
            break;
        case SETTINGS_HEALTH:
            code = health(&server.settings);
            break;
        case SETTINGS_HELP:
            code = help();
            break;
        case SETTINGS_VERSION:
            puts("posternd " POSTERN_VERSION);
            break;
        }
    }
    settings_fini(&server.settings);
    curl_global_cleanup();
    return code;
}
