#define _GNU_SOURCE /* pipe2 */
#include "vxcap_unwrap.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define END        "---\n"
#define ANSWER_MAX 128u

extern char **environ;

struct command {
	const char *text;
	pid_t pid;
	int pidfd;
	int in, out;          /* ours: to its standard input, from its output; -1: closed */
	uint64_t deadline_ns; /* monotonic */
	const char *stanzas;
	size_t len, sent; /* with END behind the stanzas */
	size_t n;         /* of answer */
	char answer[ANSWER_MAX];
};

static void close_end(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

/* Its exit code. */
static int end(struct command *command, bool kills)
{
	int status = 0;

	if (kills)
		(void)kill(command->pid, SIGKILL);
	while (waitpid(command->pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Its pipes are its input and output; SIGPIPE, which we ignore, ends it again. */
static int spawn(struct command *command, int in, int out)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)command->text, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t defaults;

	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	if (posix_spawn_file_actions_init(&actions))
		return -ENOMEM;
	int ret = posix_spawnattr_init(&attr);
	if (!ret) {
		(void)posix_spawnattr_setsigdefault(&attr, &defaults);
		(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
		ret = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
		if (!ret)
			ret = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
		if (!ret)
			ret = posix_spawn(&command->pid, "/bin/sh", &actions, &attr, argv, environ);
		(void)posix_spawnattr_destroy(&attr);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return -ret;
}

static int start(struct command *command)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC))
		return -errno;
	if (pipe2(from, O_CLOEXEC)) {
		const int ret = -errno;
		(void)close(to[0]);
		(void)close(to[1]);
		return ret;
	}
	command->in = to[1];
	command->out = from[0];
	/* It may answer before it has read everything. */
	(void)fcntl(command->in, F_SETFL, O_NONBLOCK);
	int ret = spawn(command, to[0], from[1]);
	(void)close(to[0]);
	(void)close(from[1]);
	if (ret)
		return ret;
	command->pidfd = pidfd_open(command->pid, 0);
	ret = command->pidfd < 0 ? -errno : 0;
	if (ret)
		(void)end(command, true);
	return ret;
}

/* What the pipe takes of stanzas and END. One that reads no more is done with them. */
static void send_some(struct command *command)
{
	const bool is_end = command->sent >= command->len;
	const char *const p =
		is_end ? END + (command->sent - command->len) : command->stanzas + command->sent;
	const size_t left = is_end ? strlen(p) : command->len - command->sent;
	const ssize_t n = write(command->in, p, left);

	if (n > 0)
		command->sent += (size_t)n;
	if ((n < 0 && errno != EAGAIN && errno != EINTR) ||
	    command->sent == command->len + strlen(END))
		close_end(&command->in);
}

static void receive_some(struct command *command)
{
	const ssize_t n = read(command->out, command->answer + command->n, ANSWER_MAX - command->n);

	if (n > 0)
		command->n += (size_t)n;
	if (n == 0 || (n < 0 && errno != EINTR) || command->n == ANSWER_MAX)
		close_end(&command->out);
}

/* Until it has ended, and what it printed is read; what it left behind may hold its output open. */
static int talk(struct command *command)
{
	for (;;) {
		struct pollfd fds[] = {{.fd = command->out, .events = POLLIN},
				       {.fd = command->in, .events = POLLOUT},
				       {.fd = command->pidfd, .events = POLLIN}};
		const uint64_t now_ns = clock_monotonic_ns();

		if (now_ns >= command->deadline_ns)
			return -ETIMEDOUT;
		const uint64_t left_ms = (command->deadline_ns - now_ns) / 1000000;
		if (poll(fds, 3, (int)left_ms + 1) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		if (fds[1].revents)
			send_some(command);
		if (fds[0].revents)
			receive_some(command);
		else if (fds[2].revents)
			return 0;
	}
}

static int read_answer(struct command *command, uint8_t file_key[static SEAL_FILE_KEY],
		       struct err *err)
{
	size_t len = command->n;

	while (len > 0 && isspace((unsigned char)command->answer[len - 1]))
		len--;
	if (!seal_file_key_parse(file_key, command->answer, len))
		return 0;
	/* What it printed may be a secret: it is not repeated. */
	return err_set(err, -EBADMSG,
		       "the command of --unwrap printed %zu bytes that are no file key: wanted are "
		       "32 hexadecimal digits or 22 characters of base64",
		       command->n);
}

static int run(struct command *command, uint8_t file_key[static SEAL_FILE_KEY], struct err *err)
{
	int ret = start(command);

	if (ret)
		return err_set(err, ret, "cannot run the command of --unwrap: %s", strerror(-ret));
	ret = talk(command);
	const int code = end(command, ret != 0);
	if (ret == -ETIMEDOUT)
		return err_set(err, ret,
			       "the command of --unwrap gave no key within %d s and was ended",
			       VXCAP_UNWRAP_TIMEOUT_S);
	if (ret)
		return err_set(err, ret, "cannot talk to the command of --unwrap: %s",
			       strerror(-ret));
	if (code)
		return err_set(err, -EACCES, "the command of --unwrap gave no key: exit code %d",
			       code);
	return read_answer(command, file_key, err);
}

int vxcap_unwrap(void *arg, const char *stanzas, size_t len, uint8_t file_key[static SEAL_FILE_KEY],
		 struct err *err)
{
	struct command command = {.text = arg,
				  .in = -1,
				  .out = -1,
				  .pidfd = -1,
				  .stanzas = stanzas,
				  .len = len,
				  .deadline_ns = clock_monotonic_ns() +
						 VXCAP_UNWRAP_TIMEOUT_S * UINT64_C(1000000000)};

	(void)mlock(&command, sizeof(command)); /* the answer is a key */
	const int ret = run(&command, file_key, err);
	close_end(&command.in);
	close_end(&command.out);
	close_end(&command.pidfd);
	explicit_bzero(&command, sizeof(command));
	return ret;
}
