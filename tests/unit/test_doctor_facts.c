#include "doctor/facts.h"
#include "doctor/facts_part.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

static struct doctor_facts facts;
static struct err err;

Test(doctor_facts, init_makes_everything_unknown)
{
	memset(&facts, 0, sizeof(facts));
	facts_init(&facts);
	cr_assert_eq(facts.mtu, FACT_UNKNOWN);
	cr_assert_eq(facts.folder_direct, FACT_UNKNOWN);
	cr_assert_str_eq(facts.kernel, "");
}

Test(doctor_facts, tells_this_host_and_its_loopback)
{
	struct utsname name;

	cr_assert_eq(facts_gather(&facts, "lo", NULL, &err), 0, "%s", err.text);
	cr_assert_eq(uname(&name), 0);
	cr_assert_str_eq(facts.kernel, name.release);
	cr_assert_str_eq(facts.interface, "lo");
	cr_assert_eq(facts.cpus, sysconf(_SC_NPROCESSORS_ONLN));
	cr_assert_gt(facts.memory_available, 0);
	cr_assert_gt(facts.mtu, 0);
	cr_assert_eq(facts.default_route, 0);
	cr_assert_eq(facts.xdp_program, 0);
	cr_assert_str_eq(facts.folder, "");
	cr_assert_eq(facts.folder_exists, FACT_UNKNOWN);
}

Test(doctor_facts, names_the_interface_that_is_not_there)
{
	cr_assert_eq(facts_gather(&facts, "nowhere0", NULL, &err), -ENODEV);
	cr_assert(strstr(err.text, "nowhere0"), "%s", err.text);
}

Test(doctor_facts, refuses_a_folder_name_without_end)
{
	static char name[5000];

	memset(name, 'a', sizeof(name) - 1);
	cr_assert_eq(facts_gather(&facts, "lo", name, &err), -EINVAL);
}

Test(doctor_facts, tells_a_folder_and_leaves_nothing_in_it)
{
	char folder[] = "/tmp/doctor_facts.XXXXXX";

	cr_assert_not_null(mkdtemp(folder));
	cr_assert_eq(facts_gather(&facts, "lo", folder, &err), 0, "%s", err.text);
	cr_assert_eq(facts.folder_exists, 1);
	cr_assert_eq(facts.folder_writable, 1);
	cr_assert_eq(facts.folder_read_only, 0);
	cr_assert_gt(facts.folder_free, 0);
	cr_assert_neq(*facts.folder_fstype, 0);
	cr_assert_neq(*facts.folder_mount, 0);
	cr_assert_neq(*facts.folder_encryption, 0);
	cr_assert_eq(rmdir(folder), 0, "something was left in it");
	cr_assert_eq(facts_gather(&facts, "lo", folder, &err), 0);
	cr_assert_eq(facts.folder_exists, 0);
}

Test(doctor_facts, a_file_is_no_folder)
{
	cr_assert_eq(facts_gather(&facts, "lo", "/etc/passwd", &err), 0);
	cr_assert_eq(facts.folder_exists, 0);
}

Test(doctor_facts, reads_the_first_line)
{
	char line[8] = "before";

	cr_assert_not(facts_read_line("/nowhere", line, sizeof(line)));
	cr_assert_str_eq(line, "before");
	cr_assert(facts_read_line("/proc/sys/kernel/ostype", line, sizeof(line)));
	cr_assert_str_eq(line, "Linux");
}

/* ---- dm-crypt: a tree as /sys has it ---- */

static char root[] = "/tmp/doctor_dm.XXXXXX";

static void make_device(const char *device, const char *uuid)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", root, device);
	(void)mkdir(path, 0755);
	(void)snprintf(path, sizeof(path), "%s/%s/slaves", root, device);
	(void)mkdir(path, 0755);
	if (!uuid)
		return;
	(void)snprintf(path, sizeof(path), "%s/%s/dm", root, device);
	(void)mkdir(path, 0755);
	(void)snprintf(path, sizeof(path), "%s/%s/dm/uuid", root, device);
	FILE *f = fopen(path, "w");
	cr_assert_not_null(f);
	fprintf(f, "%s\n", uuid);
	(void)fclose(f);
}

static void put_on(const char *device, const char *beneath)
{
	char target[128], path[128];

	(void)snprintf(target, sizeof(target), "../../%s", beneath);
	(void)snprintf(path, sizeof(path), "%s/%s/slaves/%s", root, device, beneath);
	cr_assert_eq(symlink(target, path), 0);
}

static bool is_crypt(const char *device)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", root, device);
	return facts_is_dm_crypt(path);
}

Test(doctor_facts, finds_dm_crypt_beneath_all_of_a_volume)
{
	char command[64];

	cr_assert_not_null(mkdtemp(root));
	make_device("disk", NULL);
	make_device("crypt", "CRYPT-LUKS2-0123");
	make_device("volume", "LVM-0123");
	make_device("stripe", "LVM-4567");
	make_device("loop", "LVM-89");
	put_on("crypt", "disk");
	put_on("volume", "crypt");
	put_on("stripe", "crypt");
	put_on("stripe", "disk");
	put_on("loop", "loop");
	cr_assert_not(is_crypt("disk"));
	cr_assert(is_crypt("crypt"));
	cr_assert(is_crypt("volume"));
	cr_assert_not(is_crypt("stripe"), "half of it is not");
	cr_assert_not(is_crypt("loop"), "it ends");
	cr_assert_not(is_crypt("nothing"));
	(void)snprintf(command, sizeof(command), "rm -r %s", root);
	cr_assert_eq(system(command), 0);
}
