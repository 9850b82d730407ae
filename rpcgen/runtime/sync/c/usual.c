/* A channel's usual call, from its arguments to its result: on a connection that was used a moment ago, whose server has
   the client's own version of the interface, and answers with exactly a reply.

   Nothing is decided here. Whatever is not as usual is the channel's ``_call``: from the beginning where nothing was sent,
   else with what the turn has come to. */

#include "turns.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>

/* What a turn needs of a connection. Python classes derive from it. */
typedef struct {
    PyObject_HEAD
    int fd;
    int kind;
    char is_fresh;
    double used, receive_wait;
    long long last;
    Py_ssize_t usual, longest;
    PyObject *contract;
} Line;

static PyObject *line_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)args, (void)keywords;   /* those are for the derived class */
    Line *line = (Line *)type->tp_alloc(type, 0);
    if (line != NULL) {
        line->fd = -1;
        line->usual = -1;
        line->contract = Py_NewRef(Py_None);
    }
    return (PyObject *)line;
}

static int line_traverse(Line *line, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(line));
    Py_VISIT(line->contract);
    return 0;
}

static int line_clear(Line *line)
{
    Py_CLEAR(line->contract);
    return 0;
}

static void line_dealloc(Line *line)
{
    PyTypeObject *type = Py_TYPE(line);
    PyObject_GC_UnTrack(line);
    line_clear(line);
    type->tp_free(line);
    Py_DECREF(type);
}

static PyMemberDef line_members[] = {
    {"_fd", T_INT, offsetof(Line, fd), 0, "Its descriptor; below 0: this end has closed it."},
    {"kind", T_INT, offsetof(Line, kind), 0, "Of the last reply."},
    {"fresh", T_BOOL, offsetof(Line, is_fresh), 0, "No call has been answered on it."},
    {"used", T_DOUBLE, offsetof(Line, used), 0, "When its last call began."},
    {"_receive_wait", T_DOUBLE, offsetof(Line, receive_wait), 0, "Seconds that a receive waits; 0: for ever."},
    {"_last", T_LONGLONG, offsetof(Line, last), 0, "The last call's id."},
    {"_usual", T_PYSSIZET, offsetof(Line, usual), 0, "Bytes up to which a message is sent at once."},
    {"_longest", T_PYSSIZET, offsetof(Line, longest), 0, "Bytes of the longest reply."},
    {"contract", T_OBJECT, offsetof(Line, contract), 0, "The server's version, where it is not the client's own."},
    {NULL},
};

static PyType_Slot line_slots[] = {
    {Py_tp_doc, "What a turn needs of a connection."},
    {Py_tp_new, line_new},
    {Py_tp_dealloc, line_dealloc},
    {Py_tp_traverse, line_traverse},
    {Py_tp_clear, line_clear},
    {Py_tp_members, line_members},
    {0, NULL},
};

PyType_Spec line_spec = {
    .name = "rpcgen.runtime.sync._turns.Line",
    .basicsize = sizeof(Line),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = line_slots,
};

/* The usual calls of a channel. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    const State *state;
    PyObject *module;         /* whose the state is */
    PyObject *routes;         /* protocol → (encode, decode, seconds or None, what is noted on exceptions, tail) */
    PyObject *idle;           /* the channel's list of connections */
    PyObject *limits;
    PyObject *undecided;      /* what decode gives for bytes that are not exactly a reply */
    PyObject *deadline;       /* the context variable */
    PyObject *forks, *born;   /* a list with one number, and that when the channel was made */
    double trusted, kept;     /* seconds */
    char is_framed, is_closed;
} Calls;

/* A call that is on its way. */
typedef struct {
    Calls *calls;
    PyObject *const *given;   /* the channel, the protocol, the arguments, the seconds */
    PyObject *route, *message;
    Line *line;
    double now, end, wait;    /* 0: no deadline */
    Py_ssize_t tail;          /* where a plain reply has the length of the bytes that it returns, or 0 */
} Turned;

static PyObject *leave(const Turned *turned, PyObject *begun)
{
    PyObject *args[] = {
        turned->given[0], turned->given[1], turned->given[2], turned->given[3], Py_None, Py_None, begun};
    return PyObject_VectorcallMethod(turned->calls->state->call, args, 7 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

/* Leaves the call to the channel: what failed is found out again there. NULL where it is not a failure of the call. */
static PyObject *leave_unsent(const Turned *turned)
{
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return NULL;
        PyErr_Clear();
    }
    return leave(turned, Py_None);
}

static PyObject *leave_sent(const Turned *turned, PyObject *found)
{
    PyObject *end = turned->end ? PyFloat_FromDouble(turned->end) : Py_NewRef(Py_None);
    PyObject *begun = end == NULL ? NULL : Py_BuildValue(
        "OOOdNd", turned->line, turned->message, found, turned->now, end, turned->wait);
    if (begun == NULL)
        return NULL;
    PyObject *result = leave(turned, begun);
    Py_DECREF(begun);
    return result;
}

/* Nobody knows where a connection is whose turn was cut off by an exception. */
static PyObject *drop(const Turned *turned)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *done = PyObject_CallMethodOneArg(
        turned->given[0], turned->calls->state->drop, (PyObject *)turned->line);
    Py_XDECREF(done);
    PyErr_Restore(type, value, traceback);
    return NULL;
}

/* Seconds from a number or None; -1 where it is neither. */
static int seconds_of(PyObject *number, double *seconds)
{
    if (number == Py_None)
        return 0;
    *seconds = PyFloat_AsDouble(number);
    return *seconds == -1 && PyErr_Occurred() ? -1 : 1;
}

/* Finds out when the call's time is up; -1 if it is now, or nobody can tell here. */
static int find_end(Turned *turned)
{
    PyObject *until;
    double seconds;
    turned->end = turned->wait = 0;
    if (PyContextVar_Get(turned->calls->deadline, NULL, &until) < 0 || until == NULL)
        return -1;
    int has_end = seconds_of(until, &turned->end);
    Py_DECREF(until);
    PyObject *own = turned->given[3];
    int has_own = seconds_of(own == Py_None ? PyTuple_GET_ITEM(turned->route, 2) : own, &seconds);
    if (has_end < 0 || has_own < 0)
        return -1;
    if (has_own && (!has_end || turned->now + seconds < turned->end)) {
        turned->end = turned->now + seconds;
        has_end = 1;
    }
    if (has_end)
        turned->wait = turned->end - turned->now;
    return has_end && (turned->end <= 0 || turned->wait <= 0) ? -1 : 0;
}

/* Seconds by which a receive may wait longer than its call, as in line.py. */
#define ABOUT 0.002

static bool is_usual(const Turned *turned, Py_ssize_t size)
{
    const Line *line = turned->line;
    double more = line->receive_wait - turned->wait;
    return size <= line->usual && !line->is_fresh && line->contract == Py_None
        && turned->now - line->used <= turned->calls->trusted
        && (more == 0 || (turned->wait > 0 && line->receive_wait > 0 && more > 0 && more <= ABOUT));
}

/* Finds the connection that was used last, if a call of so many bytes can go over it. */
static bool find_line(Turned *turned, Py_ssize_t size)
{
    PyObject *idle = turned->calls->idle;
    Py_ssize_t last = PyList_GET_SIZE(idle) - 1;
    if (last < 0 || size < 0 || !PyObject_TypeCheck(PyList_GET_ITEM(idle, last), turned->calls->state->line))
        return false;
    turned->line = (Line *)PyList_GET_ITEM(idle, last);
    return is_usual(turned, size);
}

static int take_line(Turned *turned)
{
    PyObject *idle = turned->calls->idle;
    Py_INCREF(turned->line);
    if (PyList_SetSlice(idle, PyList_GET_SIZE(idle) - 1, PyList_GET_SIZE(idle), NULL) < 0) {
        Py_DECREF(turned->line);
        return -1;
    }
    turned->line->used = turned->now;
    return 0;
}

/* Puts it back; -1 with an error. */
static int keep_line(const Turned *turned)
{
    const Calls *calls = turned->calls;
    if (PyList_Append(calls->idle, (PyObject *)turned->line) < 0)
        return -1;
    Py_ssize_t size = PyList_GET_SIZE(calls->idle);
    const Line *first = size ? (const Line *)PyList_GET_ITEM(calls->idle, 0) : NULL;
    bool is_tidy = size <= 1 || (PyObject_TypeCheck((PyObject *)first, calls->state->line)
        && turned->now - first->used <= calls->kept);
    if (is_tidy && !calls->is_closed)
        return 0;
    PyObject *now = PyFloat_FromDouble(turned->now);
    PyObject *done = now ? PyObject_CallMethodOneArg(turned->given[0], calls->state->tidy, now) : NULL;
    Py_XDECREF(now);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* The first byte of a reply; 0, which is none here, of anything else. */
static int kind_of(const State *state, PyObject *found)
{
    PyObject *head, *tail;
    if (PyBytes_CheckExact(found))
        return PyBytes_GET_SIZE(found) ? (unsigned char)PyBytes_AS_STRING(found)[0] : 0;
    if (PyTuple_CheckExact(found) || two_pieces(state, found, &head, &tail) < 0) {
        PyErr_Clear();
        return 0;
    }
    int kind = PyBytes_GET_SIZE(head) ? (unsigned char)PyBytes_AS_STRING(head)[0] : 0;
    Py_DECREF(head);
    Py_XDECREF(tail);
    return kind;
}

/* Raises a declared exception, which it takes. */
static PyObject *raise(const Turned *turned, PyObject *exception)
{
    PyObject *notes = PyList_New(1);
    if (notes != NULL) {
        /* As add_note does to an exception that has just been made. */
        PyList_SET_ITEM(notes, 0, Py_NewRef(PyTuple_GET_ITEM(turned->route, 3)));
        if (PyObject_SetAttr(exception, turned->calls->state->notes, notes) == 0)
            PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        Py_DECREF(notes);
    }
    Py_DECREF(exception);
    return NULL;
}

static PyObject *reply_of(const Turned *turned, PyObject *found)
{
    int kind = kind_of(turned->calls->state, found);
    if (kind == 0)
        return leave_sent(turned, found);
    PyObject *args[] = {found, turned->calls->limits};
    PyObject *value = PyObject_Vectorcall(PyTuple_GET_ITEM(turned->route, 1), args, 2, NULL);
    /* What is above 1 and not declared here is a fault, which says more in Python. */
    bool is_raised = kind > 1, is_declared = is_raised && value != NULL
        && PyType_IsSubtype(Py_TYPE(value), turned->calls->state->declared);
    if (value == NULL && !PyErr_ExceptionMatches(PyExc_Exception))
        return drop(turned);
    if (value == NULL || value == turned->calls->undecided || is_raised != is_declared) {
        PyErr_Clear();
        Py_XDECREF(value);
        return leave_sent(turned, found);
    }
    turned->line->kind = kind;
    if (keep_line(turned) < 0) {
        Py_DECREF(value);
        return NULL;
    }
    return is_raised ? raise(turned, value) : value;
}

static PyObject *made_turn(Turned *turned)
{
    const Calls *calls = turned->calls;
    bool is_here = PyList_GET_SIZE(calls->forks) == 1 && PyList_GET_ITEM(calls->forks, 0) == calls->born;
    turned->now = now();
    if (!is_here || calls->is_closed || find_end(turned) < 0 || !find_line(turned, 0))
        return leave_unsent(turned);
    PyObject *args[] = {turned->given[2], calls->limits};
    turned->message = PyObject_Vectorcall(PyTuple_GET_ITEM(turned->route, 0), args, 2, NULL);
    if (turned->message == NULL)
        return leave_unsent(turned);
    Py_ssize_t size = PyBytes_CheckExact(turned->message)
        ? PyBytes_GET_SIZE(turned->message) : PyObject_Size(turned->message);
    /* Once more: encoding may have run anything. */
    if (!find_line(turned, size) || take_line(turned) < 0) {
        Py_DECREF(turned->message);
        return leave_unsent(turned);
    }
    Line *line = turned->line;
    PyObject *found = calls->is_framed
        ? make_call(calls->state, line->fd, turned->message, ++line->last, turned->wait, line->longest)
        : make_exchange(
            calls->state, line->fd, turned->message, turned->wait, turned->tail, line->longest);
    PyObject *result = found ? reply_of(turned, found) : drop(turned);
    Py_XDECREF(found);
    Py_DECREF(turned->message);
    Py_DECREF(line);
    return result;
}

static PyObject *calls_call(PyObject *self, PyObject *const *args, size_t flags, PyObject *names)
{
    Calls *calls = (Calls *)self;
    if (PyVectorcall_NARGS(flags) != 4 || names != NULL) {
        PyErr_SetString(PyExc_TypeError, "usual calls take a channel, a protocol, its arguments and seconds or None");
        return NULL;
    }
    Turned turned = {.calls = calls, .given = args};
    turned.route = PyDict_GetItemWithError(calls->routes, args[1]);
    if (turned.route == NULL || !PyTuple_CheckExact(turned.route) || PyTuple_GET_SIZE(turned.route) != 5)
        return leave_unsent(&turned);
    turned.tail = PyLong_AsSsize_t(PyTuple_GET_ITEM(turned.route, 4));
    if (turned.tail == -1 && PyErr_Occurred())
        return leave_unsent(&turned);
    Py_INCREF(turned.route);
    PyObject *result = made_turn(&turned);
    Py_DECREF(turned.route);
    return result;
}

static PyObject *calls_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {
        "routes", "idle", "limits", "undecided", "deadline", "forks", "trusted", "kept", "is_framed", NULL};
    PyObject *routes, *idle, *limits, *undecided, *deadline, *forks;
    double trusted, kept;
    int is_framed;
    if (!PyArg_ParseTupleAndKeywords(
            args, keywords, "O!O!OOO!O!ddp:Calls", names, &PyDict_Type, &routes, &PyList_Type, &idle, &limits,
            &undecided, &PyContextVar_Type, &deadline, &PyList_Type, &forks, &trusted, &kept, &is_framed))
        return NULL;
    if (PyList_GET_SIZE(forks) != 1)
        return PyErr_Format(PyExc_ValueError, "forks is a list of one number, not %R", forks);
    PyObject *module = PyType_GetModule(type);
    Calls *calls = module ? (Calls *)type->tp_alloc(type, 0) : NULL;
    if (calls == NULL)
        return NULL;
    calls->call = calls_call;
    calls->module = Py_NewRef(module);
    calls->state = PyModule_GetState(module);
    calls->routes = Py_NewRef(routes);
    calls->idle = Py_NewRef(idle);
    calls->limits = Py_NewRef(limits);
    calls->undecided = Py_NewRef(undecided);
    calls->deadline = Py_NewRef(deadline);
    calls->forks = Py_NewRef(forks);
    calls->born = Py_NewRef(PyList_GET_ITEM(forks, 0));
    calls->trusted = trusted;
    calls->kept = kept;
    calls->is_framed = (char)is_framed;
    return (PyObject *)calls;
}

static int calls_traverse(Calls *calls, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(calls));
    Py_VISIT(calls->module);
    Py_VISIT(calls->routes);
    Py_VISIT(calls->idle);
    Py_VISIT(calls->limits);
    Py_VISIT(calls->undecided);
    Py_VISIT(calls->deadline);
    Py_VISIT(calls->forks);
    return 0;
}

static void calls_dealloc(Calls *calls)
{
    PyTypeObject *type = Py_TYPE(calls);
    PyObject_GC_UnTrack(calls);
    Py_XDECREF(calls->module);
    Py_XDECREF(calls->routes);
    Py_XDECREF(calls->idle);
    Py_XDECREF(calls->limits);
    Py_XDECREF(calls->undecided);
    Py_XDECREF(calls->deadline);
    Py_XDECREF(calls->forks);
    Py_XDECREF(calls->born);
    type->tp_free(calls);
    Py_DECREF(type);
}

static PyMemberDef calls_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Calls, call), READONLY, NULL},
    {"is_closed", T_BOOL, offsetof(Calls, is_closed), 0, "No call starts any more."},
    {NULL},
};

static PyType_Slot calls_slots[] = {
    {Py_tp_doc, "Calls(routes, idle, limits, undecided, deadline, forks, trusted, kept, is_framed): a channel's usual calls."},
    {Py_tp_new, calls_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_dealloc, calls_dealloc},
    {Py_tp_traverse, calls_traverse},
    {Py_tp_members, calls_members},
    {0, NULL},
};

PyType_Spec calls_spec = {
    .name = "rpcgen.runtime.sync._turns.Calls",
    .basicsize = sizeof(Calls),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = calls_slots,
};
