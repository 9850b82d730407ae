/* A server's turns: calls received, answered and replied to while they follow each other, on one connection.

   Only calls without surprises are answered; anything else is the caller's, with what has been done until then. */

#include "turns.h"

#include <errno.h>
#include <string.h>

typedef struct {
    PyObject *answers, *waiting, *dispatcher, *context;
    const State *names;
} Service;

/* What has come to a turn: a call's name and its arguments. */
typedef struct {
    const char *name, *block;
    Py_ssize_t name_size, block_size;
    uint32_t milliseconds;   /* that its client waits; 0: as long as it takes */
} Call;

/* What answers a call; NULL, mostly without an error, where nothing does. */
static PyObject *answer_of(const Service *service, const Call *call)
{
    PyObject *name = PyUnicode_DecodeUTF8(call->name, call->name_size, NULL);
    if (name == NULL) {
        PyErr_Clear();
        return NULL;
    }
    PyObject *answer = PyDict_GetItemWithError(service->answers, name);
    Py_DECREF(name);
    return Py_XNewRef(answer);
}

/* What answers gives for a block of arguments; takes both. */
static PyObject *answer_to(PyObject *answer, PyObject *block, PyObject *claim, uint32_t call_id)
{
    if (block == NULL) {
        Py_DECREF(answer);
        return NULL;
    }
    if (claim != NULL) {
        PyObject *number = PyLong_FromUnsignedLong(call_id);
        int failed = number == NULL || PyList_Append(claim, number) < 0;
        Py_XDECREF(number);
        if (failed) {
            Py_DECREF(answer);
            Py_DECREF(block);
            return NULL;
        }
    }
    PyObject *reply = PyObject_CallOneArg(answer, block);
    Py_DECREF(answer);
    Py_DECREF(block);
    if (reply != NULL && (PyBytes_Check(reply) ? PyBytes_GET_SIZE(reply) == 0 : !PyObject_CheckBuffer(reply))) {
        PyErr_SetString(PyExc_TypeError, "an answer is bytes, or like bytes where it is long");
        Py_CLEAR(reply);
    }
    return reply;
}

/* Whether the handler has said something beside its reply. */
static int has_metadata(const Service *service, PyObject *context)
{
    PyObject *metadata = PyObject_GetAttr(context, service->names->reply);
    int has = metadata == NULL ? -1 : metadata == Py_None ? 0 : PyObject_IsTrue(metadata);
    Py_XDECREF(metadata);
    return has;
}

/* Whether the thread is to leave the connection: others wait for it, or the server is stopping. */
static int is_wanted(const Service *service)
{
    PyObject *waiting = PyObject_CallNoArgs(service->waiting);
    int wanted = waiting ? PyObject_IsTrue(waiting) : -1;
    Py_XDECREF(waiting);
    if (wanted != 0)
        return wanted;
    PyObject *serving = PyObject_GetAttr(service->dispatcher, service->names->serving);
    int serves = serving ? PyObject_IsTrue(serving) : -1;
    Py_XDECREF(serving);
    return serves < 0 ? -1 : !serves;
}

static bool would_block(const Turn *turn) { return turn->error == EAGAIN || turn->error == EWOULDBLOCK; }

static PyObject *failed(const Turn *turn)
{
    errno = turn->error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* One that begins with receiving. */
static Turn *first_turn(long fd)
{
    /* Not on the stack, which the handlers need. */
    Turn *turn = PyMem_Malloc(sizeof *turn);
    if (turn == NULL)
        return (Turn *)PyErr_NoMemory();
    turn->fd = (int)fd;
    turn->message = NULL;
    turn->size = 0;
    turn->receives = true;
    return turn;
}

/* Bytes of one receive below which it is a trickle, as in connection.py. */
#define TRICKLE 4096

/* Milliseconds in which the next part of a long call comes, and seconds in which all of it does; else it is left to
   the caller, whose thread has others to serve. */
#define QUIET 5
#define MOST 0.05

/* The arguments of a call of so many bytes; NULL without an error if they were not received: then ``come`` is what
   was. */
static PyObject *arguments_of(
    const Service *service, const Turn *turn, const Call *call, Py_ssize_t size, PyObject **come)
{
    Py_ssize_t begin = call->block - turn->room;
    if (size == turn->received)
        return PyBytes_FromStringAndSize(call->block, call->block_size);
    Begun begun = {
        turn->fd, turn->room, turn->received, size, begin,
        last_argument((const uint8_t *)turn->room, turn->received, size, begin), QUIET, now() + MOST};
    return rest_of(service->names, &begun, come);
}

/* Bytes of replies that are copied into one piece with their frame's head. */
#define JOINED (32 * 1024)

/* Sends a long reply behind so many bytes. 0: all of it was sent; 1: only so many bytes; -1: an error. */
static int send_long(
    const State *state, int fd, const char *before, Py_ssize_t size, PyObject *reply, Py_ssize_t *sent)
{
    PyObject *head, *tail;
    if (two_pieces(state, reply, &head, &tail) < 0)
        return -1;
    Sending sending = {fd, {{(void *)before, size}, piece_of(head), piece_of(tail)}, 3, 0};
    int error = send_pieces(&sending, 0, false);
    *sent = sending.sent;
    Py_DECREF(head);
    Py_XDECREF(tail);
    if (error > 0 && error != EAGAIN && error != EWOULDBLOCK) {
        errno = error;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return error < 0 ? -1 : error > 0;
}

/* Plain messages */

/* Whether a call has come, or more than a little of its beginning, and nothing else; and its size. */
static bool is_call(const Turn *turn, Py_ssize_t longest_name, Py_ssize_t longest, Call *call, Py_ssize_t *size)
{
    Py_ssize_t received = turn->received;
    if (received < 8)
        return false;
    int64_t name = number_at(turn->room);
    if (name > longest_name || name > received - 8)
        return false;
    int64_t whole = 8 + name + number_at(turn->room + 4 + name);
    if (whole < received || whole > longest || (whole > received && received < TRICKLE))
        return false;
    *size = (Py_ssize_t)whole;
    *call = (Call){turn->room + 4, turn->room + 8 + name, (Py_ssize_t)name, received - 8 - (Py_ssize_t)name, 0};
    return true;
}

/* Begins the next turn, with receiving. */
static int take_next(Turn *turn)
{
    turn->message = NULL;
    turn->size = 0;
    turn->receives = true;
    return take(turn);
}

/* Sends a reply, and receives after it unless the thread is wanted elsewhere. 0: that was done; 1: only so many bytes
   were sent, or the thread is wanted; -1: an error. */
static int send_and_take(const State *state, Turn *turn, PyObject *reply, bool is_wanted, Py_ssize_t *sent)
{
    if (!PyBytes_CheckExact(reply) || PyBytes_GET_SIZE(reply) > JOINED) {
        int left = send_long(state, turn->fd, NULL, 0, reply, sent);
        if (left == 0 && !is_wanted)
            return take_next(turn);
        return left ? left : 1;
    }
    turn->receives = !is_wanted;
    turn->message = PyBytes_AS_STRING(reply);
    turn->size = PyBytes_GET_SIZE(reply);
    if (take(turn) < 0)
        return -1;
    *sent = turn->sent;
    if (turn->sent == turn->size && turn->receives)
        return 0;
    if (turn->error && !would_block(turn)) {
        failed(turn);
        return -1;
    }
    return 1;
}

static PyObject *serve_all(const Service *service, Turn *turn, Py_ssize_t longest_name, Py_ssize_t longest)
{
    if (take(turn) < 0)
        return NULL;
    for (;;) {
        if (turn->received < 0)
            return would_block(turn) ? Py_NewRef(Py_None) : failed(turn);
        Call call;
        Py_ssize_t size, sent = 0;
        PyObject *reply = NULL, *come = NULL;
        PyObject *answer = is_call(turn, longest_name, longest, &call, &size) ? answer_of(service, &call) : NULL;
        if (answer != NULL) {
            PyObject *block = arguments_of(service, turn, &call, size, &come);
            if (come != NULL) {
                Py_DECREF(answer);
                return come;
            }
            reply = answer_to(answer, block, NULL, 0);
        }
        if (reply == NULL)
            return PyErr_Occurred() ? NULL : PyBytes_FromStringAndSize(turn->room, turn->received);
        int left = has_metadata(service, service->context);
        if (left == 0) {
            int wanted = is_wanted(service);
            left = wanted < 0 ? -1 : send_and_take(service->names, turn, reply, wanted, &sent);
        }
        PyObject *given = left > 0 ? Py_BuildValue("On", reply, sent) : NULL;
        Py_DECREF(reply);
        if (left != 0)
            return given;
    }
}

/* serve(fd, answers, waiting, dispatcher, context, name, message): receives and answers whole, usual calls
   while they follow each other. Gives what was received if it is anything else (b"" at the end), None if
   nothing came in time, (reply, bytes sent) if it was not sent wholly, or the thread is wanted elsewhere;
   none were, where the context has metadata for it. */
PyObject *turns_serve(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 7 || !PyDict_CheckExact(args[1])) {
        PyErr_SetString(
            PyExc_TypeError, "serve() takes a descriptor, answers, waiting, dispatcher, context and two limits");
        return NULL;
    }
    long fd = PyLong_AsLong(args[0]);
    Py_ssize_t longest_name = PyLong_AsSsize_t(args[5]), longest = PyLong_AsSsize_t(args[6]);
    Service service = {args[1], args[2], args[3], args[4], PyModule_GetState(module)};
    if (PyErr_Occurred())
        return NULL;
    Turn *turn = first_turn(fd);
    if (turn == NULL)
        return NULL;
    PyObject *found = serve_all(&service, turn, longest_name, longest);
    PyMem_Free(turn);
    return found;
}

/* Frames */

#define OVERHEAD 6           /* bytes of a frame's head that its length counts */

#define RECEIVED -1
#define UNANSWERED -2

typedef struct {
    PyObject *claim;         /* a list: the call whose handler runs. Who takes it out has the call. */
    PyObject *enter, *leave; /* around the handler of a call that has a deadline */
    uint32_t last;
    Py_ssize_t longest, shortest;
} Session;

/* Whether a frame has come, or more than a little of its beginning: who sends slowly is waited for elsewhere. */
static bool is_frame(
    const Turn *turn, const Session *session, uint32_t *call_id, Call *call, Py_ssize_t *whole)
{
    const char *at = turn->room;
    Py_ssize_t size = turn->received;
    if (size < FRAME_HEAD + 5)
        return false;
    uint32_t length = number_at(at);
    Py_ssize_t name = (unsigned char)at[FRAME_HEAD], begin = FRAME_HEAD + 5 + name;
    if (length < size - 4 || length > session->longest || begin > size || (length > size - 4 && size < TRICKLE))
        return false;
    *call_id = number_at(at + 6);
    if ((number_at(at + 2) & 0xFFFF) != CALL_FRAME || *call_id <= session->last)
        return false;
    *whole = (Py_ssize_t)length + 4;
    *call = (Call){at + FRAME_HEAD + 1, at + begin, name, size - begin, number_at(at + begin - 4)};
    return true;
}

/* The head of a REPLY of so many bytes. */
static void put_head(char *at, Py_ssize_t size, uint32_t call_id)
{
    unsigned char *head = (unsigned char *)at;
    put_big_endian(head, OVERHEAD + (uint32_t)size);
    head[4] = REPLY_FRAME >> 8;
    head[5] = 0;
    put_big_endian(head + 6, call_id);
}

static PyObject *given(const Session *session, PyObject *data, Py_ssize_t sent)
{
    return data == NULL ? NULL : Py_BuildValue("kNn", (unsigned long)session->last, data, sent);
}

/* The frame of a reply, which it takes. */
static PyObject *framed(const State *state, PyObject *reply, uint32_t call_id)
{
    PyObject *begin, *tail, *frame = NULL;
    char head[FRAME_HEAD];
    if (two_pieces(state, reply, &begin, &tail) == 0) {
        put_head(head, PyObject_Size(reply), call_id);
        frame = joined(head, FRAME_HEAD, PyBytes_AS_STRING(begin), PyBytes_GET_SIZE(begin));
        if (frame != NULL && tail != NULL)
            Py_SETREF(frame, PyObject_CallFunctionObjArgs(state->tailed, frame, tail, NULL));
        Py_DECREF(begin);
        Py_XDECREF(tail);
    }
    Py_DECREF(reply);
    return frame;
}

/* Whether the call was taken out of the claim while its handler ran; it is out of it afterwards. */
static int was_taken(PyObject *claim)
{
    Py_ssize_t size = PyList_GET_SIZE(claim);
    if (size == 0)
        return 1;
    return PyList_SetSlice(claim, size - 1, size, NULL) < 0 ? -1 : 0;
}

static PyObject *serve_frames(const Service *service, Turn *turn, Session *session)
{
    if (take(turn) < 0)
        return NULL;
    for (;;) {
        if (turn->received < 0)
            return would_block(turn) ? given(session, Py_NewRef(Py_None), RECEIVED) : failed(turn);
        Call call;
        uint32_t call_id;
        Py_ssize_t whole;
        PyObject *reply = NULL, *block, *come = NULL, *own = NULL;
        PyObject *answer = is_frame(turn, session, &call_id, &call, &whole) ? answer_of(service, &call) : NULL;
        if (answer != NULL) {
            double deadline = call.milliseconds ? now() + call.milliseconds / 1000.0 : 0;
            block = arguments_of(service, turn, &call, whole, &come);
            if (come != NULL) {
                Py_DECREF(answer);
                return given(session, come, RECEIVED);
            }
            if (call.milliseconds && block != NULL) {
                own = PyObject_CallFunction(session->enter, "kd", (unsigned long)call_id, deadline);
                if (own == NULL || own == Py_None) {
                    Py_DECREF(answer);
                    Py_DECREF(block);
                    session->last = call_id;
                    return given(session, own, UNANSWERED);
                }
            }
            reply = answer_to(answer, block, session->claim, call_id);
        }
        if (reply == NULL) {
            Py_XDECREF(own);
            if (PyErr_Occurred())
                return NULL;
            return given(session, PyBytes_FromStringAndSize(turn->room, turn->received), RECEIVED);
        }
        session->last = call_id;
        int unusual = was_taken(session->claim);
        Py_ssize_t size = PyObject_Size(reply);
        if (unusual == 0)
            unusual = size < 0 ? -1 : size >= session->shortest;
        if (unusual == 0)
            unusual = PyBytes_Check(reply) ? PyBytes_AS_STRING(reply)[0] == 0 : 0;
        if (unusual == 0)
            unusual = has_metadata(service, own ? own : service->context);
        bool has_deadline = own != NULL;
        Py_XDECREF(own);
        if (unusual > 0)
            return given(session, reply, UNANSWERED);
        if (unusual == 0 && has_deadline) {
            PyObject *left = PyObject_CallNoArgs(session->leave);
            unusual = left == NULL ? -1 : 0;
            Py_XDECREF(left);
        }
        int wanted = unusual < 0 ? -1 : is_wanted(service);
        if (wanted < 0) {
            Py_DECREF(reply);
            return NULL;
        }
        Py_ssize_t sent = 0;
        if (size > JOINED) {
            char head[FRAME_HEAD];
            put_head(head, size, call_id);
            int left = send_long(service->names, turn->fd, head, FRAME_HEAD, reply, &sent);
            if (left > 0)
                return given(session, framed(service->names, reply, call_id), sent);
            Py_DECREF(reply);
            if (left == 0 && wanted)
                return given(session, PyBytes_FromStringAndSize("", 0), 0);
            if (left < 0 || take_next(turn) < 0)
                return NULL;
            continue;
        }
        PyObject *frame = framed(service->names, reply, call_id);
        int left = frame == NULL ? -1 : send_and_take(service->names, turn, frame, wanted, &sent);
        if (left > 0)
            return given(session, frame, sent);
        Py_XDECREF(frame);
        if (left < 0)
            return NULL;
    }
}

/* serve_frames(fd, answers, waiting, dispatcher, context, claim, enter, leave, last, longest, shortest): receives
   and answers single usual CALLs while they follow each other: without flags, of a length up to the longest, with
   ids above the last. Gives the last one's id, and

       (data, RECEIVED)      what was received instead, b"" at the end; (None, RECEIVED) if nothing came in time
       (reply, UNANSWERED)   to the last one: a fault, or of the shortest size that is not usual, or there is
                             metadata for it, or the call was taken out of the claim while its handler ran;
                             None: its time was up before that
       (frame, bytes sent)   if it was not sent wholly, or the thread is wanted elsewhere

   enter(id, deadline) is called before the handler of a call that has one, and gives its context, or None if the time
   is up; leave() once there is a usual reply. The claim is as it was, but where a handler raised: its call is in it
   then, unless it was taken out. */
PyObject *turns_serve_frames(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 11 || !PyDict_CheckExact(args[1]) || !PyList_CheckExact(args[5])) {
        PyErr_SetString(
            PyExc_TypeError,
            "serve_frames() takes a descriptor, answers, waiting, dispatcher, context, claim, two functions and three "
            "numbers");
        return NULL;
    }
    long fd = PyLong_AsLong(args[0]);
    unsigned long last = PyLong_AsUnsignedLong(args[8]);
    Session session = {
        args[5], args[6], args[7], (uint32_t)last, PyLong_AsSsize_t(args[9]), PyLong_AsSsize_t(args[10])};
    Service service = {args[1], args[2], args[3], args[4], PyModule_GetState(module)};
    if (PyErr_Occurred())
        return NULL;
    if (last > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "an id has 32 bits");
        return NULL;
    }
    Turn *turn = first_turn(fd);
    if (turn == NULL)
        return NULL;
    PyObject *found = serve_frames(&service, turn, &session);
    PyMem_Free(turn);
    return found;
}
