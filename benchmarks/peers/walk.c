// walk DIRECTORY THREADS: lists everything below DIRECTORY and calls statx(2) on each entry, by name in its directory;
// prints the seconds that took and how many entries there are. Compares nothing, keeps nothing: the least a scan can do.
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int root;
static char **stack;
static size_t height, room;
static int busy;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static atomic_size_t entries;

static void push(char *path)
{
    pthread_mutex_lock(&lock);
    if (height == room && !(stack = realloc(stack, (room = room * 2 + 1024) * sizeof *stack)))
        err(1, "realloc");
    stack[height++] = path;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static char *pop(int was_busy)
{
    char *path = NULL;
    pthread_mutex_lock(&lock);
    busy -= was_busy;
    while (!height && busy)
        pthread_cond_wait(&changed, &lock);
    if (height) {
        path = stack[--height];
        busy++;
    } else {
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    return path;
}

static void list(const char *path)
{
    int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory)
        err(1, "open %s", path);
    size_t here = 0;
    for (struct dirent *item; (item = readdir(directory));) {
        if (!strcmp(item->d_name, ".") || !strcmp(item->d_name, ".."))
            continue;
        struct statx stat;
        if (statx(fd, item->d_name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &stat) != 0)
            err(1, "statx %s/%s", path, item->d_name);
        here++;
        if (S_ISDIR(stat.stx_mode)) {
            char *below;
            if (asprintf(&below, "%s/%s", path, item->d_name) < 0)
                err(1, "asprintf");
            push(below);
        }
    }
    closedir(directory);
    atomic_fetch_add(&entries, here);
}

static void *work(void *unused)
{
    int was_busy = 0;
    for (char *path; (path = pop(was_busy)); was_busy = 1) {
        list(path);
        free(path);
    }
    return unused;
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
        errx(2, "usage: walk DIRECTORY THREADS");
    if ((root = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        err(1, "open %s", argv[1]);
    int threads = atoi(argv[2]);
    pthread_t others[threads];
    double begun = now();
    push(strdup("."));
    for (int i = 1; i < threads; i++)
        if ((errno = pthread_create(&others[i], NULL, work, NULL)))
            err(1, "pthread_create");
    work(NULL);
    for (int i = 1; i < threads; i++)
        pthread_join(others[i], NULL);
    printf("%.6f %zu\n", now() - begun, (size_t)entries);
    return 0;
}
