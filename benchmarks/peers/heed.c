// heed fanotify|inotify COMMAND...: runs COMMAND while the kernel reports what it does below the working directory, and
// throws away all that is reported: no file is looked at, no name kept. What this costs the command nobody can save.
// heed FILE COMMAND...: the same with fanotify, but nothing is reported of what is written to FILE, from the start. It is
// what a mark on the file system costs every write, reported or not.
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int reports;

static int watch(const char *path, const struct stat *unused, int kind, struct FTW *place)
{
    (void)unused, (void)place;
    unsigned mask = IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB | IN_MODIFY | IN_CLOSE_WRITE | IN_ONLYDIR |
                    IN_DONT_FOLLOW | IN_EXCL_UNLINK;
    if (kind == FTW_D && inotify_add_watch(reports, path, mask) < 0)
        err(1, "inotify_add_watch %s", path);
    return 0;
}

static void mark(void)
{
    // FAN_REPORT_DFID_NAME_TARGET, FAN_RENAME: Linux 5.17, and later than some C libraries.
    unsigned how = FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE | 0x1e00;
    unsigned long long mask =
        FAN_CREATE | FAN_DELETE | 0x10000000 | FAN_ATTRIB | FAN_MODIFY | FAN_CLOSE_WRITE | FAN_ONDIR;
    if ((reports = fanotify_init(how, O_RDONLY)) < 0)
        err(1, "fanotify_init");
    if (fanotify_mark(reports, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, mask, AT_FDCWD, ".") != 0)
        err(1, "fanotify_mark");
}

static void ignore(const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0)
        err(1, "open %s", path);
    unsigned how = FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY;
    if (fanotify_mark(reports, how, FAN_MODIFY, AT_FDCWD, path) != 0)
        err(1, "fanotify_mark %s", path);
    close(file);
}

int main(int argc, char **argv)
{
    static char dropped[1 << 18];
    if (argc < 3)
        errx(2, "usage: heed fanotify|inotify|FILE COMMAND...");
    if (!strcmp(argv[1], "inotify")) {
        if ((reports = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) < 0)
            err(1, "inotify_init1");
        nftw(".", watch, 64, FTW_PHYS);
    } else {
        mark();
        if (strcmp(argv[1], "fanotify"))
            ignore(argv[1]);
    }
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        err(127, "%s", argv[2]);
    }
    // The wake-up costs more than the event: nobody sleeps in a read.
    const struct timespec interval = {.tv_nsec = 5000000};
    int status;
    do {
        nanosleep(&interval, NULL);
        while (read(reports, dropped, sizeof dropped) > 0)
            ;
    } while (waitpid(child, &status, WNOHANG) == 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
