/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of two block devices, slots 0 and 1, through the interrupt controller: their
 * causes and acknowledgement (virtio 1.2, 4.2.3.4), and how driver and device
 * tell each other to be quiet, by flags and by EVENT_IDX (2.7.7, 2.7.10), in
 * requests=N requests.
 */
#include "virtio.h"

static struct disk disk, other;
static unsigned requests;

static void clear(struct disk *of)
{
    of->interrupts = of->causes = of->config_changes = 0;
}

static void wait_for_interrupts(struct disk *of, unsigned count)
{
    while (of->interrupts < count)
        wait_for_interrupt();
}

/* Takes the interrupts that come within some time; returns how many did. */
static unsigned count_interrupts(const struct disk *of, unsigned milliseconds)
{
    unsigned before = of->interrupts;

    interrupts_on();
    spend(milliseconds);
    interrupts_off();
    return of->interrupts - before;
}

static void one_for_each_request(void)
{
    doing = "an interrupt for each request";
    disk_start(&disk, 0, 8);
    disk_start(&other, 0, 8);
    clear(&disk);
    clear(&other);
    for (unsigned i = 1; i <= 20; i++) {
        describe_request(&disk.queue, 0, T_IN, i, buffer(0), SECTOR);
        send(&disk, &disk.queue, 0);
        wait_for_interrupts(&disk, i);
        must(used_is_there(&disk.queue)); /* what the interrupt tells is there when it comes */
        must_be(wait_used(&disk, &disk.queue).length, SECTOR + 1);
        must(is_filled(buffer(0), i));
        must_be(get(&disk, V_INTERRUPT_STATUS), 0); /* the handler has acknowledged */
    }
    must_be(disk.causes, USED_BUFFER);
    must_be(count_interrupts(&disk, 2), 0);
    must_be(disk.interrupts, 20);
    must_be(other.interrupts, 0);
    doing = "an interrupt of the other disk";
    describe_request(&other.queue, 0, T_IN, 3, buffer(0), SECTOR);
    send(&other, &other.queue, 0);
    wait_for_interrupts(&other, 1);
    must_be(wait_used(&other, &other.queue).length, SECTOR + 1);
    must_be(disk.interrupts, 20);
    must_be(other.causes, USED_BUFFER);
}

/* The interrupt is held back while the vCPU takes none. */
static void acknowledge(void)
{
    doing = "acknowledgement";
    disk_start(&disk, 0, 8);
    clear(&disk);
    interrupts_off();
    must_be(request(&disk, T_IN, 3, buffer(0), SECTOR), S_OK);
    while (get(&disk, V_INTERRUPT_STATUS) == 0) /* it follows the used index */
        pause();
    must_be(get(&disk, V_INTERRUPT_STATUS), USED_BUFFER); /* reading changes nothing */
    put(&disk, V_INTERRUPT_ACK, 0);
    put(&disk, V_INTERRUPT_ACK, ~(uint32_t)USED_BUFFER);
    must_be(get(&disk, V_INTERRUPT_STATUS), USED_BUFFER);
    put(&disk, V_INTERRUPT_STATUS, 0);
    must_be(get(&disk, V_INTERRUPT_STATUS), USED_BUFFER);
    put(&disk, V_INTERRUPT_ACK, USED_BUFFER);
    must_be(get(&disk, V_INTERRUPT_STATUS), 0);
    must_be(count_interrupts(&disk, 2), 1); /* the line is edge-triggered: it comes all the same */
    must_be(disk.causes, 0);
    doing = "a reset with an interrupt that is not acknowledged";
    must_be(request(&disk, T_IN, 3, buffer(0), SECTOR), S_OK);
    while (get(&disk, V_INTERRUPT_STATUS) == 0)
        pause();
    disk_reset(&disk);
    count_interrupts(&disk, 1);
}

static void suppress_by_flag(void)
{
    doing = "NO_INTERRUPT";
    disk_start(&disk, 0, 8);
    count_interrupts(&disk, 1);
    clear(&disk);
    disk.queue.avail->flags = NO_INTERRUPT;
    for (unsigned i = 0; i < 20; i++)
        must_be(request(&disk, T_IN, 3, buffer(0), SECTOR), S_OK);
    must_be(count_interrupts(&disk, 2), 0);
    must_be(get(&disk, V_INTERRUPT_STATUS), 0);
    disk.queue.avail->flags = 0;
    describe_request(&disk.queue, 0, T_IN, 3, buffer(0), SECTOR);
    send(&disk, &disk.queue, 0);
    wait_for_interrupts(&disk, 1);
    wait_used(&disk, &disk.queue);
    doing = "used_event that was not negotiated";
    disk.queue.avail->ring[8] = 0x7000; /* far away; without EVENT_IDX it is nothing */
    describe_request(&disk.queue, 0, T_IN, 3, buffer(0), SECTOR);
    send(&disk, &disk.queue, 0);
    wait_for_interrupts(&disk, 2);
    wait_used(&disk, &disk.queue);
}

static volatile uint16_t *used_event(struct queue *queue)
{
    return &queue->avail->ring[queue->size];
}

static volatile uint16_t *avail_event(struct queue *queue)
{
    return (volatile uint16_t *)&queue->used->ring[queue->size];
}

static void suppress_by_event(void)
{
    struct queue *queue = &disk.queue;

    doing = "used_event";
    disk_start(&disk, F_EVENT_IDX, 8);
    count_interrupts(&disk, 1);
    for (unsigned round = 0; round < 10; round++) {
        clear(&disk);
        *used_event(queue) = (uint16_t)(queue->seen + 2); /* for the third from now */
        queue->avail->flags = NO_INTERRUPT;               /* is to be ignored, then */
        for (unsigned i = 0; i < 2; i++)
            must_be(request(&disk, T_IN, 3, buffer(0), SECTOR), S_OK);
        must_be(count_interrupts(&disk, 1), 0);
        describe_request(queue, 0, T_IN, 3, buffer(0), SECTOR);
        send(&disk, queue, 0);
        wait_for_interrupts(&disk, 1);
        wait_used(&disk, queue);
        for (unsigned i = 0; i < 2; i++) /* and none after it */
            must_be(request(&disk, T_IN, 3, buffer(0), SECTOR), S_OK);
        must_be(count_interrupts(&disk, 1), 0);
        must_be(disk.interrupts, 1);
    }
    doing = "avail_event";
    for (unsigned round = 0; round < 10; round++) {
        must_be(request(&disk, T_IN, 3, buffer(0), SECTOR), S_OK);
        while (*avail_event(queue) != queue->published) /* when it goes to sleep, it asks */
            pause();
    }
}

/* As drivers do it: the doorbell only where the device asks for it, and sleeping until the
 * interrupt, asked for only then.  One that gets lost stops everything. */
static void sleep_between(uint64_t features, unsigned at_once)
{
    struct queue *queue = &disk.queue;
    unsigned kicks = 0, sleeps = 0;

    disk_start(&disk, F_INDIRECT | features, 16);
    count_interrupts(&disk, 1);
    clear(&disk);
    queue->avail->flags = features ? 0 : NO_INTERRUPT;
    for (unsigned n = 0; n < requests / at_once; n++) {
        uint16_t before = queue->published;
        bool asked;

        for (unsigned i = 0; i < at_once; i++) {
            describe_indirect(queue, i, T_IN, (n + i) % 64, buffer(i), SECTOR);
            offer(queue, i);
        }
        publish(queue);
        if (features) /* 2.7.10: the need-event formula */
            asked = (uint16_t)(queue->published - *avail_event(queue) - 1) <
                    (uint16_t)(queue->published - before);
        else
            asked = !(__atomic_load_n(&queue->used->flags, __ATOMIC_RELAXED) & NO_NOTIFY);
        if (asked) {
            kick(&disk, queue);
            kicks++;
        }
        for (unsigned i = 0; i < at_once;) {
            if (used_is_there(queue)) {
                wait_used(&disk, queue);
                i++;
                continue;
            }
            if (features)
                *used_event(queue) = queue->seen;
            else
                __atomic_store_n(&queue->avail->flags, 0, __ATOMIC_RELAXED);
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
            while (!used_is_there(queue)) {
                wait_for_interrupt();
                sleeps++;
            }
            if (!features)
                queue->avail->flags = NO_INTERRUPT;
        }
        for (unsigned i = 0; i < at_once; i++) {
            must_be(*status_of(queue, i), S_OK);
            must(is_filled(buffer(i), (n + i) % 64));
        }
        if (n % 64 == 0)
            count_interrupts(&disk, 1); /* long enough for the device to fall asleep */
    }
    must(kicks > 0);
    must(sleeps > 0);
    must_be(disk.causes & CONFIG_CHANGE, 0);
}

static void break_it(void)
{
    doing = "an interrupt when it needs a reset";
    disk_start(&disk, 0, 8);
    count_interrupts(&disk, 1);
    clear(&disk);
    send(&disk, &disk.queue, 0xffff);
    wait_for_interrupts(&disk, 1);
    must_be(disk.causes, CONFIG_CHANGE);
    must_be(get(&disk, V_STATUS), RUNNING | NEEDS_RESET);
    must_be(count_interrupts(&disk, 2), 0);
    must_work(&disk);
}

void test(void)
{
    requests = (unsigned)option("requests", 1500);
    interrupts_init();
    disk_init(&disk, 0);
    disk_init(&other, 1);
    disk_interrupts(&disk);
    disk_interrupts(&other);
    one_for_each_request();
    acknowledge();
    suppress_by_flag();
    suppress_by_event();
    doing = "sleep, with flags";
    sleep_between(0, 1);
    sleep_between(0, 8);
    doing = "sleep, with EVENT_IDX";
    sleep_between(F_EVENT_IDX, 1);
    sleep_between(F_EVENT_IDX, 8);
    break_it();
}
