"""Which run of the kernel this is."""


def boot_id() -> str:
    """Another one with each boot, the same in all containers (random(4)); "" without /proc."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""
