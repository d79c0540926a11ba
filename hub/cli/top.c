/* `waggle top`: the terminal and the connection around top_model.h and top_draw.h.
 *
 * Everything comes over one native WebSocket: `call` fills the views, events of their channels say
 * when they are old and are the log. The terminal is given back on every way out, a crash included;
 * what others print on stderr meanwhile is kept and printed then. */
#define _GNU_SOURCE
#include "hub/cli/nouns.h"

#include <curses.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "channels/json_out.h"
#include "hub/cli/our_frame.h"
#include "hub/cli/socket.h"
#include "hub/cli/top_bulk.h"
#include "hub/cli/top_draw.h"
#include "hub/cli/top_terminal.h"
#include "hub/cli/watch.h"

enum {
    SUBSCRIBE_ID = 1,
    WHO_ID = 2,
    HEALTH_ID = 3,
    ACT_ID = 4,
    VIEW_ID = 100,  /* and the view's number */
    TREE_ID = 1000, /* and which tree: answers to an older one are nothing to the newer */
    WHEEL_LINES = 3,
    RELOAD_LEAST_MS = 500,
    RELOAD_MS = 3000,     /* ages, loads and what no event tells of */
    TREE_LEAST_MS = 1000, /* a tree takes up to TREE_WORKS_MAX questions */
    TICK_MS = 1000,
    PAINT_LEAST_MS = 50, /* however many events come */
    ESCAPE_MS = 25,      /* a key's sequence comes in one piece */
};

struct top {
    struct cli *cli;
    struct socket *socket;
    struct top_model model;
    struct top_screen screen;
    struct top_bulk bulk;
    struct top_tree tree; /* that is being asked for: shown when it is whole */
    struct buf tree_id;   /* whose it is; its row is in the table while it is there */
    uint64_t trees;       /* begun */
    bool growing;
    int64_t tree_loaded_ms, tree_due_ms;
    int64_t loaded_ms[TOP_VIEWS], due_ms[TOP_VIEWS]; /* steady clock */
    bool loading[TOP_VIEWS];
    bool started, quit; /* the terminal is ours */
    bool keyed;         /* a key is answered at once */
    int64_t painted_ms;
    int stderr_kept; /* the real one, while ours stands in */
};

static volatile sig_atomic_t stop_signal;

/* --- the terminal ------------------------------------------------------------------------------
 */

static void on_stop(int signal)
{
    stop_signal = signal;
}

/* As much as can be done in a process that is about to end by a fault. */
static void on_crash(int signal_number)
{
    (void)endwin();
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static void catch_signals(void)
{
    static const int stops[] = {SIGTERM, SIGINT, SIGHUP};
    static const int crashes[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE};
    struct sigaction action = {.sa_handler = on_stop};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        (void)sigaction(stops[i], &action, NULL);
    }
    action = (struct sigaction){.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) {
        (void)sigaction(crashes[i], &action, NULL);
    }
}

static void set_up_looks(bool colour)
{
    if (!colour || !has_colors()) {
        return;
    }
    (void)start_color();
    (void)use_default_colors();
    static const short colours[] = {COLOR_GREEN, COLOR_CYAN, COLOR_YELLOW, COLOR_RED};
    for (short i = 0; i < 4; i++) {
        (void)init_pair((short)(i + 1), colours[i], -1);
    }
    (void)init_pair(5, COLOR_WHITE, COLOR_RED);
}

static attr_t attributes_of(enum top_look look, bool colour)
{
    switch (look) {
    case LOOK_PLAIN:
        return A_NORMAL;
    case LOOK_BOLD:
        return A_BOLD;
    case LOOK_DIM:
        return A_DIM;
    case LOOK_BAR:
    case LOOK_SELECTED:
        return A_REVERSE;
    case LOOK_GOOD:
        return colour ? (attr_t)COLOR_PAIR(1) : A_NORMAL;
    case LOOK_BUSY:
        return colour ? (attr_t)COLOR_PAIR(2) : A_NORMAL;
    case LOOK_WARN:
        return colour ? (attr_t)COLOR_PAIR(3) : A_BOLD;
    case LOOK_BAD:
        return (colour ? (attr_t)COLOR_PAIR(4) : A_NORMAL) | A_BOLD;
    case LOOK_BANNER:
        return colour ? (attr_t)COLOR_PAIR(5) : A_REVERSE;
    case LOOKS:
        return A_NORMAL;
    }
    return A_NORMAL;
}

static bool begin_screen(struct top *t)
{
    t->stderr_kept = dup(STDERR_FILENO);
    int spare = memfd_create("stderr", MFD_CLOEXEC);
    if (t->stderr_kept >= 0 && spare >= 0) {
        (void)dup2(spare, STDERR_FILENO);
    }
    if (spare >= 0) {
        close(spare);
    }
    catch_signals();
    (void)set_escdelay(ESCAPE_MS);
    if (!initscr()) {
        return false;
    }
    (void)cbreak();
    (void)noecho();
    (void)nonl();
    (void)keypad(stdscr, TRUE);
    (void)nodelay(stdscr, TRUE);
    (void)curs_set(0);
    /* Pressed is enough: to wait for what may become a double click would make it late. */
    (void)mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
    (void)mouseinterval(0);
    set_up_looks(t->cli->out.colour);
    t->started = true;
    return true;
}

static void end_screen(struct top *t)
{
    char text[4096];
    ssize_t n;
    if (t->started) {
        (void)endwin();
    }
    if (t->stderr_kept < 0) {
        return;
    }
    fflush(stderr);
    int said = dup(STDERR_FILENO);
    (void)dup2(t->stderr_kept, STDERR_FILENO);
    close(t->stderr_kept);
    (void)lseek(said, 0, SEEK_SET);
    while (said >= 0 && (n = read(said, text, sizeof text)) > 0) {
        if (write(STDERR_FILENO, text, (size_t)n) < 0) {
            break;
        }
    }
    if (said >= 0) {
        close(said);
    }
}

static void paint(struct top *t)
{
    int rows, columns;
    getmaxyx(stdscr, rows, columns);
    t->model.now_ms = clock_wall_ms();
    top_draw(&t->screen, &t->model, (size_t)rows, (size_t)columns);
    (void)erase();
    for (size_t i = 0; i < t->screen.rows; i++) {
        (void)move((int)i, 0);
        for (size_t k = 0; k < t->screen.lines[i].n; k++) {
            struct top_segment *s = &t->screen.lines[i].segments[k];
            (void)attrset((int)attributes_of(s->look, t->cli->out.colour));
            (void)addstr(buf_text(&s->text)); /* it looks at the byte after the last */
        }
    }
    (void)attrset(A_NORMAL);
    (void)refresh();
}

static int key_of(int key)
{
    switch (key) {
    case KEY_UP:
        return TOP_KEY_UP;
    case KEY_DOWN:
        return TOP_KEY_DOWN;
    case KEY_LEFT:
        return TOP_KEY_LEFT;
    case KEY_RIGHT:
        return TOP_KEY_RIGHT;
    case KEY_PPAGE:
        return TOP_KEY_PAGE_UP;
    case KEY_NPAGE:
        return TOP_KEY_PAGE_DOWN;
    case KEY_HOME:
        return TOP_KEY_HOME;
    case KEY_END:
        return TOP_KEY_END;
    case KEY_ENTER:
    case '\r':
    case '\n':
        return TOP_KEY_ENTER;
    case 27:
        return TOP_KEY_ESCAPE;
    case KEY_BACKSPACE:
    case 127:
    case '\b':
        return TOP_KEY_BACKSPACE;
    case '\t':
        return TOP_KEY_TAB;
    default:
        return key;
    }
}

/* --- asking the hub ----------------------------------------------------------------------------
 */

static void call(struct top *t, uint64_t id, const char *method, struct slice params)
{
    struct buf text = {0};
    struct json_out o = our_frame_begin(&text, "call", id);
    json_key(&o, "method");
    json_str(&o, method);
    json_key(&o, "params");
    json_raw(&o, params);
    json_end(&o, '}');
    socket_send(t->socket, buf_slice(&text));
    buf_done(&text);
}

static void load(struct top *t, size_t view)
{
    const struct top_view *v = &top_views[view];
    if (v->method && socket_is_open(t->socket) && !t->loading[view]) {
        t->loading[view] = true;
        call(t, VIEW_ID + view, v->method, slice_str(v->params));
    }
}

static void act_on(struct top *t)
{
    struct buf params = {0};
    while (top_bulk_next(&t->bulk, &params)) {
        call(t, ACT_ID, t->bulk.action->method, buf_slice(&params));
        buf_clear(&params);
    }
    buf_done(&params);
    top_bulk_say(&t->bulk, &t->model);
}

/* On what was marked, else selected, when it was asked for. */
static void act(struct top *t)
{
    struct top_model *m = &t->model;
    if (top_bulk_is_busy(&t->bulk)) {
        top_say(m, "not begun: something else is being done");
        return;
    }
    top_bulk_begin(&t->bulk, m->action, m->meant, m->meant_n, m->reason);
    m->meant = NULL; /* the bulk's from now on */
    m->meant_n = 0;
    top_table_unmark(&m->tables[m->view]);
    act_on(t);
}

static void on_acted(struct top *t, struct slice refusal)
{
    if (!top_bulk_is_busy(&t->bulk)) {
        return;
    }
    top_bulk_answer(&t->bulk, refusal);
    act_on(t);
    t->due_ms[t->model.view] = 0;
}

static void ask_for_tree(void *ctx, const char *method, struct slice params)
{
    struct top *t = ctx;
    call(t, TREE_ID + t->trees, method, params);
}

static bool shows_tree(const struct top *t)
{
    return t->model.mode == TOP_PAGE && t->model.page_is_tree;
}

/* Grown beside the one that is shown, so that a page does not flicker. */
static void grow_tree(struct top *t)
{
    struct top_model *m = &t->model;
    struct tree_asker asker = {.ask = ask_for_tree, .ctx = t};
    struct slice id = buf_slice(&t->tree_id);
    t->trees++;
    t->growing = true;
    top_tree_begin(&t->tree, top_tree_of(m->view), id, top_table_find(&m->tables[m->view], id),
                   &asker);
}

static void begin_tree(struct top *t)
{
    struct top_model *m = &t->model;
    buf_clear(&t->tree_id);
    top_tree_done(&m->tree);
    if (top_table_id(&m->tables[m->view], &t->tree_id)) {
        m->tree.waiting = 1;
        grow_tree(t);
        top_tree_show(m);
    }
}

/* One whose row has gone keeps the line that it had. */
static void show_grown_tree(struct top *t)
{
    struct top_model *m = &t->model;
    if (t->tree.waiting) {
        return;
    }
    t->growing = false;
    t->tree_loaded_ms = clock_steady_ms();
    t->tree_due_ms = t->tree_loaded_ms + RELOAD_MS;
    if (m->tree.n && !top_table_find(&m->tables[m->view], buf_slice(&t->tree_id)).n) {
        top_tree_keep_root(&t->tree, &m->tree);
    }
    top_tree_done(&m->tree);
    m->tree = t->tree;
    t->tree = (struct top_tree){0};
    top_tree_show(m);
}

/* A channel that is not allowed is an error of its own; the others are subscribed all the same. */
static void subscribe(struct top *t)
{
    for (size_t i = 0; i < TOP_VIEWS; i++) {
        struct buf text = {0};
        watch_subscribe(&text, top_views[i].channels);
        socket_send(t->socket, buf_slice(&text));
        buf_done(&text);
    }
}

/* --- hearing -----------------------------------------------------------------------------------
 */

static void on_open(void *ctx)
{
    struct top *t = ctx;
    t->model.connected = true;
    t->model.lost_ms = 0;
    top_say(&t->model, "%s", ""); /* why it was away is over */
    memset(t->loading, 0, sizeof t->loading);
    t->growing = false;
    t->tree_due_ms = 0;
    subscribe(t);
    call(t, WHO_ID, "auth.whoami", slice_str("{}"));
    call(t, HEALTH_ID, "hub.health", slice_str("{}"));
    for (size_t i = 0; i < TOP_VIEWS; i++) {
        load(t, i);
    }
}

static void on_lost(void *ctx, const char *why, int64_t retry_ms)
{
    struct top *t = ctx;
    (void)retry_ms;
    t->model.connected = false;
    if (top_bulk_is_busy(&t->bulk)) {
        top_bulk_done(&t->bulk); /* what was not answered may have been done: the list will say */
    }
    t->model.lost_ms = t->model.lost_ms ? t->model.lost_ms : clock_wall_ms();
    top_say(&t->model, "(%s)", why);
    if (t->started) {
        paint(t);
    }
}

/* Which view an event makes old: the one whose channels its channel belongs to. */
static bool belongs(struct slice channel, const char *channels)
{
    for (size_t n; *channels; channels += n + (channels[n] == ' ')) {
        n = strcspn(channels, " ");
        bool pattern = n > 1 && channels[n - 1] == '>';
        size_t same = pattern ? n - 1 : n;
        if (channel.n >= same && memcmp(channel.p, channels, same) == 0 &&
            (pattern || channel.n == same)) {
            return true;
        }
    }
    return false;
}

static void on_figures(struct top *t, const struct hub_frame *frame)
{
    struct buf time = {0};
    int64_t at_ms;
    json_add_human(&time, json_at(frame->text, "time"));
    if (time_read(buf_slice(&time), &at_ms)) {
        top_pulse_take(&t->model.pulse, frame->field[HUB_DATA], at_ms);
    }
    buf_done(&time);
}

static void on_event(struct top *t, const struct hub_frame *frame)
{
    struct buf channel = {0};
    (void)json_to_text(frame->field[HUB_CHANNEL], &channel);
    if (slice_is(buf_slice(&channel), "hub")) {
        on_figures(t, frame);
        buf_done(&channel);
        return;
    }
    top_table_push(&t->model.tables[TOP_LOG], frame->text);
    if (t->tree_loaded_ms + TREE_LEAST_MS < t->tree_due_ms) {
        t->tree_due_ms = t->tree_loaded_ms + TREE_LEAST_MS;
    }
    for (size_t i = 0; i < TOP_VIEWS; i++) {
        int64_t soon = t->loaded_ms[i] + RELOAD_LEAST_MS;
        if (belongs(buf_slice(&channel), top_views[i].channels) && soon < t->due_ms[i]) {
            t->due_ms[i] = soon;
        }
    }
    buf_done(&channel);
}

static void take_text(char *out, size_t n, struct slice result, const char *path)
{
    struct buf b = {0};
    json_add_human(&b, json_at(result, path));
    snprintf(out, n, "%.*s", (int)b.n, (const char *)b.p);
    buf_done(&b);
}

static void on_loaded(struct top *t, size_t view, struct slice result)
{
    const struct top_view *v = &top_views[view];
    struct buf made = {0};
    t->model.notes[view][0] = '\0';
    t->loading[view] = false;
    t->loaded_ms[view] = clock_steady_ms();
    t->due_ms[view] = t->loaded_ms[view] + RELOAD_MS;
    if (v->list) {
        v->list(result, &made);
    }
    top_table_load(&t->model.tables[view], v->list ? buf_slice(&made) : json_at(result, v->member),
                   clock_wall_ms());
    buf_done(&made);
}

static void on_result(struct top *t, uint64_t id, struct slice result)
{
    struct top_model *m = &t->model;
    if (id == WHO_ID) {
        char role[32];
        take_text(role, sizeof role, result, "role");
        take_text(m->who, sizeof m->who - sizeof role, result, "sub");
        size_t n = strlen(m->who);
        snprintf(m->who + n, sizeof m->who - n, " (%s)", role);
    } else if (id == HEALTH_ID) {
        take_text(m->version, sizeof m->version, result, "version");
    } else if (id == ACT_ID) {
        on_acted(t, (struct slice){0});
    } else if (id == TREE_ID + t->trees) {
        struct tree_asker asker = {.ask = ask_for_tree, .ctx = t};
        top_tree_answer(&t->tree, result, &asker);
        show_grown_tree(t);
    } else if (id >= VIEW_ID && id < VIEW_ID + TOP_VIEWS) {
        on_loaded(t, (size_t)(id - VIEW_ID), result);
    }
}

static void on_error(struct top *t, uint64_t id, const struct hub_frame *frame)
{
    struct buf text = {0};
    json_add_human(&text, frame->field[HUB_MESSAGE]);
    if (id >= VIEW_ID && id < VIEW_ID + TOP_VIEWS) {
        size_t view = (size_t)(id - VIEW_ID);
        t->loading[view] = false;
        t->due_ms[view] = INT64_MAX; /* asking again says the same; an event or a key asks anew */
        snprintf(t->model.notes[view], sizeof t->model.notes[view], "%.*s", (int)text.n,
                 (const char *)text.p);
    } else if (id == ACT_ID) {
        on_acted(t, text.n ? buf_slice(&text) : slice_str("refused"));
    } else if (id == TREE_ID + t->trees) {
        top_tree_refused(&t->tree, frame->field[HUB_MESSAGE]);
        show_grown_tree(t);
    }
    buf_done(&text);
}

static void on_frame(void *ctx, const struct hub_frame *frame)
{
    struct top *t = ctx;
    uint64_t id = hub_frame_number(frame, HUB_ID);
    if (frame->type == HUB_EVENT) {
        on_event(t, frame);
    } else if (frame->type == HUB_RESULT) {
        on_result(t, id, frame->field[HUB_RESULT_VALUE]);
    } else if (frame->type == HUB_ERROR) {
        on_error(t, id, frame);
    }
}

static bool is_stopping(void *ctx)
{
    (void)ctx;
    return stop_signal != 0;
}

/* --- turns -------------------------------------------------------------------------------------
 */

static enum top_effect take_mouse(struct top_model *m)
{
    MEVENT event;
    if (getmouse(&event) != OK) {
        return TOP_NOTHING;
    }
    if (event.bstate & (BUTTON4_PRESSED | BUTTON5_PRESSED)) {
        top_wheel(m, event.bstate & BUTTON4_PRESSED ? -WHEEL_LINES : WHEEL_LINES);
        return TOP_NOTHING;
    }
    return event.bstate & BUTTON1_PRESSED ? top_click(m, (size_t)event.y, (size_t)event.x)
                                          : TOP_NOTHING;
}

static void heed(struct top *t, enum top_effect effect)
{
    switch (effect) {
    case TOP_NOTHING:
        return;
    case TOP_LOAD:
        t->due_ms[t->model.view] = 0;
        return;
    case TOP_ACT:
        act(t);
        return;
    case TOP_TREE:
        begin_tree(t);
        return;
    case TOP_QUIT:
        t->quit = true;
        return;
    }
}

static void take_keys(struct top *t)
{
    int key;
    while (!t->quit && (key = getch()) != ERR) {
        t->keyed = true;
        if (key == KEY_RESIZE || key == 12) { /* ctrl-L */
            (void)clearok(stdscr, TRUE);
        } else {
            heed(t, key == KEY_MOUSE ? take_mouse(&t->model) : top_key(&t->model, key_of(key)));
        }
    }
}

/* What is looked at, and what the header counts. */
static void load_what_is_due(struct top *t)
{
    int64_t now = clock_steady_ms();
    for (size_t i = 0; i < TOP_VIEWS; i++) {
        if ((i == t->model.view || i == TOP_AGENTS || i == TOP_TASKS) && now >= t->due_ms[i]) {
            load(t, i);
        }
    }
    if (shows_tree(t) && !t->growing && socket_is_open(t->socket) && now >= t->tree_due_ms) {
        grow_tree(t);
    }
}

/* The next time that there is something to be loaded. */
static int64_t next_due(const struct top *t)
{
    size_t view = t->model.view;
    int64_t due = t->loading[view] ? INT64_MAX : t->due_ms[view];
    return shows_tree(t) && !t->growing && t->tree_due_ms < due ? t->tree_due_ms : due;
}

static enum cli_exit run(struct top *t)
{
    enum cli_exit rc = CLI_OK;
    while (rc == CLI_OK && !t->quit && !stop_signal) {
        struct pollfd keyboard = {.fd = STDIN_FILENO, .events = POLLIN};
        load_what_is_due(t);
        int64_t now = clock_steady_ms(), due = next_due(t);
        bool painting = t->keyed || now - t->painted_ms >= PAINT_LEAST_MS;
        if (painting) {
            paint(t);
            t->painted_ms = now;
            t->keyed = false;
        }
        int64_t next = now + (!painting            ? PAINT_LEAST_MS
                              : t->model.connected ? TICK_MS
                                                   : TICK_MS / 4);
        rc = socket_wait(t->socket, due < next ? due : next, &keyboard, 1);
        if (keyboard.revents & (POLLHUP | POLLERR | POLLNVAL)) {
            stop_signal = SIGHUP; /* the terminal is gone; the kernel's own signal may come yet */
        }
        take_keys(t);
    }
    return rc;
}

/* Who was told to end by a signal ends by it: that is what its parent asks for. It also keeps a
 * leak check out of the end of a terminal: the kernel sends SIGCONT after SIGHUP, which takes the
 * stop of a tracer back, and both would wait for ever. */
static void end_by_signal(void)
{
    if (stop_signal) {
        (void)signal(stop_signal, SIG_DFL);
        (void)raise(stop_signal);
    }
}

/* A terminal without Unicode, or a person who wants none. */
static bool wants_ascii(const struct cli *cli)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *plain = getenv("NO_UNICODE"), *term = getenv("TERM");
    if (args_has(&cli->args, "ascii") || (plain && *plain)) {
        return true;
    }
    if (term && (strcmp(term, "linux") == 0 || strncmp(term, "vt", 2) == 0)) {
        return true; /* the console's font has no braille */
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text = getenv(names[i]);
        if (text && *text) {
            return !(strcasestr(text, "utf-8") || strcasestr(text, "utf8"));
        }
    }
    return true;
}

static bool choose_view(struct cli *cli, struct top_model *m)
{
    const char *name = args_operand(&cli->args, 0);
    m->view = TOP_PULSES;
    if (!name) {
        return true;
    }
    while (strcmp(top_views[m->view].name, name) != 0) {
        if (++m->view == TOP_VIEWS) {
            return args_refuse(&cli->args, "there is no view \"%s\"", name);
        }
    }
    return true;
}

static enum cli_exit top_run(struct cli *cli)
{
    struct top t = {.cli = cli, .stderr_kept = -1};
    struct socket_events events = {
        .ctx = &t, .open = on_open, .frame = on_frame, .lost = on_lost, .stopping = is_stopping};
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        return cli_fail(CLI_USAGE, "top wants a terminal; see `waggle agent ls --watch`");
    }
    if (!top_terminal_draws()) {
        const char *term = getenv("TERM");
        return cli_fail(CLI_USAGE,
                        "TERM=%s names no terminal that top could draw on; see `waggle agent ls "
                        "--watch`",
                        term ? term : "");
    }
    if (!cli_target(cli)) {
        return CLI_USAGE;
    }
    top_model_init(&t.model);
    if (!choose_view(cli, &t.model)) {
        return cli_usage(cli);
    }
    t.model.readonly = args_has(&cli->args, "readonly");
    t.model.ascii = wants_ascii(cli);
    snprintf(t.model.hub, sizeof t.model.hub, "%s", cli->target.url);
    t.socket = socket_new(cli, &events, true);
    enum cli_exit rc =
        begin_screen(&t) ? run(&t) : cli_fail(CLI_FAILED, "this terminal (TERM) cannot be driven");
    socket_free(t.socket);
    end_screen(&t);
    top_screen_done(&t.screen);
    top_bulk_done(&t.bulk);
    top_tree_done(&t.tree);
    buf_done(&t.tree_id);
    top_model_done(&t.model);
    end_by_signal();
    return rc;
}

// clang-format off
static const struct operand operands[] = {
    { "VIEW", 0, "the first to be shown: pulses, agents, queues, tasks, dlq, networks, swarms, consensus, messages or log (pulses)" }, { 0 } };

static const struct option options[] = {
    { 0, "readonly", OPTION_FLAG, 0, NULL, "keys change nothing", NULL },
    { 0, "ascii", OPTION_FLAG, 0, NULL, "no characters beyond ASCII; so does NO_UNICODE", NULL },
    { 0 },
};

#define TOP_ABOUT \
    "Views of pulses, agents, queues, tasks, dead letters, networks, swarms, rounds, messages and of all events, as they change. ? shows the keys. " \
    "When the hub goes away, what was there stays, greyed, until it is back."

const struct command top_commands[] = {
    { "top", "the hub on the whole terminal, live", TOP_ABOUT, operands, options, top_run, "waggle top tasks --readonly" },
    { "tui", "the same as top", TOP_ABOUT, operands, options, top_run, NULL },
    { 0 },
};
// clang-format on
