// SPDX-License-Identifier: MIT
/*
 * The first program of a kernel that nobody here built: says what it runs on, and that it is there. Its two lines are
 * what tests/emulated/test_stock_kernel.py waits for.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <unistd.h>

static void first_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "r");

	if (!file || !fgets(line, size, file))
		snprintf(line, size, "%s: %s", path, strerror(errno));
	if (file)
		fclose(file);
	line[strcspn(line, "\n")] = '\0';
}

int main(void)
{
	char model[128], online[128];
	struct utsname kernel;

	if (mount("proc", "/proc", "proc", 0, NULL) || mount("sysfs", "/sys", "sysfs", 0, NULL) || uname(&kernel)) {
		perror("init");
		return 1;
	}
	first_line("/proc/device-tree/model", model, sizeof(model));
	first_line("/sys/devices/system/cpu/online", online, sizeof(online));
	printf("user space on %s, kernel %s, CPUs %s online\n", model, kernel.release, online);
	fflush(stdout);
	for (;;)
		pause();
}
