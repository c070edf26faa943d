/* make - runs commands in the order in which they depend on each other, some at once; their output comes in whole lines,
 * each with the name of its rule. When one fails, or on Ctrl-C, those that run are killed and nothing else begins.
 * Try it: printf 'all: a b\na:\n\techo one\nb: a\n\techo two\n' > rules; 16_make rules
 * 16_make FILE [JOBS [TARGET]]: 4 jobs, and the first rule of the file. */
#include <torc.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RULES = 256, DEPENDENCIES = 32, COMMAND = 4096 };

struct rule {
	char name[64];
	int count, dependencies[DEPENDENCIES];
	char command[COMMAND]; /* lines for the shell */
	enum { NEW, VISITED, ORDERED } state;
	struct torc_event done;
};

struct make {
	const char *file, *target;
	unsigned jobs;
	int rules, ordered;
	struct rule rule[RULES];
	struct rule *order[RULES];
	struct torc_stream out;
};

struct job {
	struct make *make;
	struct rule *rule;
};

static int rule_of(struct make *make, const char *name)
{
	for (int i = 0; i < make->rules; i++)
		if (strcmp(make->rule[i].name, name) == 0)
			return i;
	if (make->rules == RULES || strlen(name) >= sizeof make->rule[0].name)
		return -E2BIG;
	strcpy(make->rule[make->rules].name, name);
	return make->rules++;
}

/* "name: name name" begins a rule, a tab a command of it. */
static int read_line(struct make *make, struct rule **current, char *text)
{
	char *name, *rest;
	int i;

	if (*text == '\t') {
		if (!*current || strlen((*current)->command) + strlen(text) + 1 > COMMAND)
			return -EINVAL;
		strcat(strcat((*current)->command, text + 1), "\n");
		return 0;
	}
	if (*text == '\0' || *text == '#')
		return 0;
	name = strtok_r(text, ": ", &rest);
	if (!name || (i = rule_of(make, name)) < 0)
		return -EINVAL;
	*current = &make->rule[i];
	while ((name = strtok_r(NULL, ": ", &rest))) {
		if ((i = rule_of(make, name)) < 0 || (*current)->count == DEPENDENCIES)
			return -E2BIG;
		(*current)->dependencies[(*current)->count++] = i;
	}
	return 0;
}

static int read_rules(struct make *make)
{
	struct torc_stream file TORC_CLEANUP(torc_stream_close) = { 0 };
	struct torc_lines lines TORC_CLEANUP(torc_lines_close) = { 0 };
	struct rule *current = NULL;
	struct torc_line line;
	int r, fd = open(make->file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if ((r = torc_stream_wrap(&file, fd)) < 0 || (r = torc_lines_open(&lines, &file, NULL)) < 0)
		return r;
	while (r >= 0 && (r = torc_lines_next(&lines, &line)) > 0)
		r = read_line(make, &current, line.text);
	return r;
}

/* What a rule depends on comes before it. */
static int put_in_order(struct make *make, struct rule *rule)
{
	int r = 0;

	if (rule->state == ORDERED)
		return 0;
	if (rule->state == VISITED)
		return -ELOOP;
	rule->state = VISITED;
	for (int i = 0; i < rule->count && r == 0; i++)
		r = put_in_order(make, &make->rule[rule->dependencies[i]]);
	rule->state = ORDERED;
	make->order[make->ordered++] = rule;
	return r;
}

static int show(struct make *make, const struct rule *rule, const struct torc_line *line)
{
	char prefix[80];

	snprintf(prefix, sizeof prefix, "%s| ", rule->name);
	return torc_stream_writev(
		&make->out, (struct iovec[]){ { prefix, strlen(prefix) }, { line->text, line->len }, { "\n", 1 } }, 3);
}

static int run_command(struct make *make, struct rule *rule)
{
	struct torc_process shell TORC_CLEANUP(torc_process_close) = { 0 }; /* killed, unless it has ended */
	struct torc_lines lines TORC_CLEANUP(torc_lines_close) = { 0 };
	struct torc_line line;
	int r = torc_process_spawn(&shell, (const char *const[]){ "sh", "-ec", rule->command, NULL },
	                           TORC_OPTIONS(torc_process_options, .in = TORC_CHILD_NULL, .out = TORC_CHILD_PIPE,
	                                        .err = TORC_CHILD_AS_OUT, .group = true));

	if (r < 0 || (r = torc_lines_open(&lines, &shell.out, NULL)) < 0)
		return r;
	while ((r = torc_lines_next(&lines, &line)) > 0)
		if ((r = show(make, rule, &line)) < 0)
			break;
	if (r < 0 || (r = torc_process_wait(&shell, NULL)) <= 0)
		return r;
	fprintf(stderr, "make: %s failed with status %d\n", rule->name, r);
	return -EIO;
}

static int build(void *arg)
{
	struct job *job = arg;
	struct rule *rule = job->rule;
	int r = 0;

	for (int i = 0; i < rule->count && r >= 0; i++)
		r = torc_event_wait(&job->make->rule[rule->dependencies[i]].done);
	if (r >= 0 && rule->command[0] != '\0')
		r = run_command(job->make, rule);
	if (r >= 0)
		torc_event_set(&rule->done);
	return r;
}

static int stop_on_signal(void *all)
{
	struct torc_signals stop TORC_CLEANUP(torc_signals_close) = { 0 };
	int r = torc_signals_open(&stop, SIGINT, SIGTERM);

	if (r < 0 || (r = torc_signals_next(&stop, NULL)) < 0)
		return r;
	torc_scope_cancel(all);
	return 0;
}

static int make_all(void *arg)
{
	struct make *make = arg;
	int rules, target, r;

	if ((r = torc_stdout(&make->out)) < 0 || (r = read_rules(make)) < 0)
		return r;
	rules = make->rules;
	if ((target = make->target ? rule_of(make, make->target) : 0) < 0 || target >= rules)
		return -EINVAL; /* nothing of that name */
	if ((r = put_in_order(make, &make->rule[target])) < 0)
		return r;

	TORC_SCOPE(all);
	TORC_SCOPE(watch); /* left first: ends the wait for a signal when the work is done */
	if ((r = torc_go(watch, stop_on_signal, all)) < 0)
		return r;
	/* As many at once as there may be jobs; since a rule comes behind what it waits for, somebody always can run. */
	TORC_SCOPE(jobs, .limit = make->jobs);
	for (int i = 0; i < make->ordered; i++) {
		struct job job = { make, make->order[i] };

		if ((r = torc_give(jobs, build, job)) < 0)
			break;
	}
	return torc_scope_join(jobs);
}

int main(int argc, char **argv)
{
	struct make *make = calloc(1, sizeof *make);
	int r;

	if (!make || argc < 2) {
		fprintf(stderr, "usage: make FILE [JOBS [TARGET]]\n");
		free(make);
		return 2;
	}
	make->file = argv[1];
	make->jobs = argc > 2 ? (unsigned)atoi(argv[2]) : 4;
	make->target = argc > 3 ? argv[3] : NULL;
	r = torc_run(NULL, make_all, make);
	free(make);
	if (r < 0)
		fprintf(stderr, "make: %s\n", r == -ECANCELED ? "stopped" : strerror(-r));
	return r < 0;
}
