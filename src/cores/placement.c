#include "cores/placement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct machine {
	const struct topology_cpu *cpus;
	unsigned count;
};

/* Some CPUs of a machine, by their places in it, in an order. */
struct choice {
	unsigned count;
	unsigned places[];
};

/* Where a CPU stands, or -1. */
static long place_of(const struct machine *machine, unsigned long cpu)
{
	for (unsigned i = 0; i < machine->count; i++)
		if (machine->cpus[i].cpu == cpu)
			return i;
	return -1;
}

static bool is_among(const struct choice *choice, unsigned place)
{
	for (unsigned i = 0; i < choice->count; i++)
		if (choice->places[i] == place)
			return true;
	return false;
}

/* --- the list ------------------------------------------------------------------------------------- */

static const char *skip_blanks(const char *at)
{
	while (*at == ' ' || *at == '\t' || *at == '\n')
		at++;
	return at;
}

/* Returns what follows the number and the blanks behind it; NULL: there is none. */
static const char *read_number(const char *at, unsigned long *number)
{
	char *end;

	if (*at < '0' || *at > '9') /* strtoul would take signs */
		return NULL;
	*number = strtoul(at, &end, 10); /* ULONG_MAX if it is too large, which is no CPU either */
	return skip_blanks(end);
}

/* "3" or "0-3", and the blanks around. Returns what follows; NULL: malformed. */
static const char *read_range(const char *at, unsigned long *first, unsigned long *last)
{
	at = read_number(skip_blanks(at), first);
	if (!at)
		return NULL;
	*last = *first;
	if (*at == '-')
		at = read_number(skip_blanks(at + 1), last);
	return at && *first <= *last && (*at == ',' || !*at) ? at : NULL;
}

/* Ends with the first number that is no CPU, however long the range. */
static int add_range(struct choice *choice, const struct machine *machine, unsigned long first, unsigned long last)
{
	for (unsigned long cpu = first; cpu <= last; cpu++) {
		long place = place_of(machine, cpu);

		if (place < 0)
			return -EINVAL;
		if (!is_among(choice, (unsigned)place))
			choice->places[choice->count++] = (unsigned)place;
	}
	return 0;
}

static void add_all(struct choice *choice, const struct machine *machine)
{
	for (; choice->count < machine->count; choice->count++)
		choice->places[choice->count] = choice->count;
}

static int read_list(struct choice *choice, const struct machine *machine, const char *list)
{
	unsigned long first, last;
	int r = 0;

	if (!list || strcmp(list, "all") == 0) {
		add_all(choice, machine);
		return 0;
	}
	for (const char *at = list; r == 0; at++) { /* ends: at the end of the list, or with an error */
		at = read_range(at, &first, &last);
		if (!at)
			return -EINVAL;
		r = add_range(choice, machine, first, last);
		if (!*at)
			break;
	}
	return r;
}

/* --- the order ------------------------------------------------------------------------------------ */

/* How much two CPUs share, the nearest first: 0 nothing, 1 a package, 2 a node, 4 a core; and sums of these. */
static unsigned nearness(const struct topology_cpu *a, const struct topology_cpu *b)
{
	return (a->core == b->core ? 4u : 0) + (a->node == b->node ? 2u : 0) + (a->package == b->package ? 1u : 0);
}

/* How crowded a CPU's surroundings are by those chosen before: its core counts for more than all of its node, and that for
 * more than all of its package. */
static uint64_t crowd(const struct topology_cpu *cpus, const struct choice *chosen, unsigned place)
{
	uint64_t core = 0, node = 0, package = 0;

	for (unsigned i = 0; i < chosen->count; i++) {
		const struct topology_cpu *other = &cpus[chosen->places[i]];

		core += other->core == cpus[place].core;
		node += other->node == cpus[place].node;
		package += other->package == cpus[place].package;
	}
	return core << 40 | node << 20 | package;
}

/* Least is best. */
static uint64_t cost(const struct topology_cpu *cpus, const struct choice *chosen, unsigned place,
                     enum torc_placement how)
{
	if (how == TORC_SPREAD)
		return crowd(cpus, chosen, place);
	if (how == TORC_PACK && chosen->count > 0)
		return 7 - nearness(&cpus[chosen->places[chosen->count - 1]], &cpus[place]);
	return 0;
}

/* Move the best of what is left over to the chosen. Of equals the first, and the rest keeps its order. */
static void choose_next(struct choice *chosen, struct choice *rest, const struct topology_cpu *cpus,
                        enum torc_placement how)
{
	uint64_t least = UINT64_MAX;
	unsigned best = 0;

	for (unsigned i = 0; i < rest->count; i++) {
		uint64_t now = cost(cpus, chosen, rest->places[i], how);

		if (now < least) {
			least = now;
			best = i;
		}
	}
	chosen->places[chosen->count++] = rest->places[best];
	rest->count--;
	memmove(&rest->places[best], &rest->places[best + 1], (rest->count - best) * sizeof *rest->places);
}

/* --- both ----------------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
	unsigned left = *(const unsigned *)a, right = *(const unsigned *)b;

	return left < right ? -1 : left > right;
}

static struct choice *choice_new(unsigned room)
{
	struct choice *choice = malloc(sizeof *choice + room * sizeof *choice->places);

	if (choice)
		choice->count = 0;
	return choice;
}

/* What each executor gets, out of the CPUs of the list. */
static int choose(struct placement *placement, const struct machine *machine, struct choice *set, struct choice *chosen,
                  const struct torc_cores_options *options)
{
	unsigned count = options->count, wanted;

	if (count == 0)
		count = set->count < PLACEMENT_MOST ? set->count : PLACEMENT_MOST;
	*placement = (struct placement){ .count = count, .fenced = options->placement == TORC_FENCED };
	if (options->placement == TORC_UNBOUND)
		return 0;
	wanted = placement->fenced ? set->count : count;
	if (wanted > set->count)
		return -EINVAL;
	if (options->placement != TORC_FIXED) /* elsewhere the list is a set: the order of the machine counts */
		qsort(set->places, set->count, sizeof *set->places, by_place);
	while (chosen->count < wanted) /* ends: there are as many in the set */
		choose_next(chosen, set, machine->cpus, options->placement);
	placement->cpus = malloc(wanted * sizeof *placement->cpus);
	if (!placement->cpus)
		return -ENOMEM;
	placement->each = placement->fenced ? wanted : 1;
	for (unsigned i = 0; i < wanted; i++)
		placement->cpus[i] = machine->cpus[chosen->places[i]].cpu;
	return 0;
}

int placement_choose(struct placement *out, const struct topology_cpu *cpus, unsigned cpu_count,
                     const struct torc_cores_options *options)
{
	const struct machine machine = { cpus, cpu_count };
	struct choice *set, *chosen;
	struct placement placement;
	int r = -ENOMEM;

	if (options->count > PLACEMENT_MOST || options->placement < TORC_UNBOUND || options->placement > TORC_FIXED)
		return -EINVAL;
	set = choice_new(cpu_count);
	chosen = choice_new(cpu_count);
	if (set && chosen)
		r = read_list(set, &machine, options->cpus);
	if (r == 0)
		r = choose(&placement, &machine, set, chosen, options);
	if (r == 0)
		*out = placement;
	free(set);
	free(chosen);
	return r;
}

int placement_open(struct placement *placement, const struct torc_cores_options *options)
{
	struct topology_cpu *cpus;
	unsigned count;
	int r = topology_read(&cpus, &count);

	if (r < 0)
		return r;
	r = placement_choose(placement, cpus, count, options);
	free(cpus);
	return r;
}

void placement_close(struct placement *placement)
{
	free(placement->cpus);
	placement->cpus = NULL;
}

int placement_bind(const struct placement *placement, unsigned executor)
{
	if (placement->each == 0)
		return 0;
	return topology_bind_thread(placement_of(placement, executor), placement->each);
}
