// watch LIST THREADS: sets an inotify watch on every directory in LIST (paths, each ended by a zero byte) and prints the
// seconds that took: no table, no order, nothing but inotify_add_watch.
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 512 };
static const unsigned MASK = IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB | IN_MODIFY | IN_CLOSE_WRITE | IN_ONLYDIR |
                             IN_DONT_FOLLOW | IN_EXCL_UNLINK;
static char **paths;
static size_t count;
static atomic_size_t next;
static int inotify;

static void *work(void *unused)
{
    for (;;) {
        size_t at = atomic_fetch_add(&next, BLOCK);
        if (at >= count)
            return unused;
        for (size_t end = at + BLOCK < count ? at + BLOCK : count; at < end; at++)
            if (inotify_add_watch(inotify, paths[at], MASK) < 0)
                err(1, "inotify_add_watch %s", paths[at]);
    }
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        errx(2, "usage: watch LIST THREADS");
    FILE *list = fopen(argv[1], "rb");
    if (!list)
        err(1, "open %s", argv[1]);
    char *line = NULL;
    size_t room = 0, allowed = 0;
    while (getdelim(&line, &room, 0, list) > 0) {
        if (count == allowed && !(paths = realloc(paths, (allowed = allowed * 2 + 1024) * sizeof *paths)))
            err(1, "realloc");
        if (!(paths[count++] = strdup(line)))
            err(1, "strdup");
    }
    if ((inotify = inotify_init1(IN_CLOEXEC)) < 0)
        err(1, "inotify_init1");
    int threads = atoi(argv[2]);
    pthread_t others[threads];
    double begun = now();
    for (int i = 1; i < threads; i++)
        if ((errno = pthread_create(&others[i], NULL, work, NULL)))
            err(1, "pthread_create");
    work(NULL);
    for (int i = 1; i < threads; i++)
        pthread_join(others[i], NULL);
    printf("%.6f %zu\n", now() - begun, count);
    return 0;
}
