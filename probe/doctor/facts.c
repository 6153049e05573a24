#include "doctor/facts.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "doctor/facts_part.h"

void facts_init(struct doctor_facts *facts)
{
#define TEXT(name, len, meaning) facts->name[0] = 0;
#define NUMBER(name, meaning)    facts->name = FACT_UNKNOWN;
#define FLAG(name, meaning)      facts->name = FACT_UNKNOWN;
#include "doctor/facts.def"
#undef TEXT
#undef NUMBER
#undef FLAG
}

bool facts_read_line(const char *path, char *text, size_t len)
{
	char line[4096];
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	const bool got = fgets(line, sizeof(line), f);
	(void)fclose(f);
	if (!got)
		return false;
	line[strcspn(line, "\n")] = 0;
	(void)snprintf(text, len, "%s", line);
	return true;
}

int facts_gather(struct doctor_facts *facts, const char *interface, const char *folder,
		 struct err *err)
{
	const unsigned ifindex = if_nametoindex(interface);

	if (!ifindex)
		return err_set(err, -ENODEV,
			       "no interface %s here; 'ip link' lists those there are", interface);
	if (folder && strlen(folder) >= sizeof(facts->folder))
		return err_set(err, -EINVAL, "the path of the output folder is too long");
	facts_init(facts);
	(void)snprintf(facts->interface, sizeof(facts->interface), "%s", interface);
	if (folder)
		(void)snprintf(facts->folder, sizeof(facts->folder), "%s", folder);
	facts_host(facts);
	facts_nic(facts);
	facts_xdp(facts, ifindex);
	if (folder)
		facts_folder(facts);
	return 0;
}
