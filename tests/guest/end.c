/* SPDX-License-Identifier: MIT */
/* Ends in the way that end=WAY names, after marks on the boot timer and a line
 * of output, unless quiet=1: then without any exit before.  More ways are the
 * architecture's, in its ways.c. */
#include "runtime.h"

#include "ways.h"

static void spin(void)
{
    for (;;)
        pause();
}

static void ap_spin(unsigned number)
{
    (void)number;
    spin();
}

void test(void)
{
    if (!option("quiet", 0)) {
        out8(BOOT_TIMER, 1);
        print("ending\n");
        out8(BOOT_TIMER, 0xff);
    }
    if (option("cpus", 1) > 1) { /* the others run while we end */
        interrupts_init();
        start_aps(ap_spin);
    }
    if (option_is("end", "poweroff"))
        power_off();
    else if (option_is("end", "reset"))
        reset();
    else if (option_is("end", "panic"))
        out8(PANIC, 1);
    else if (option_is("end", "code"))
        finish((int)option("code", 0));
    else if (option_is("end", "spin"))
        spin();
    else if (option_is("end", "sleep"))
        sleep_for_ever();
    else
        end_otherwise();
    check(false); /* not reached */
}
