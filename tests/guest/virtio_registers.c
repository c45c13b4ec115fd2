/* SPDX-License-Identifier: MIT */
/*
 * The registers of a virtio device (virtio 1.2, 4.2.2) and its configuration
 * (5.2.4): each at every offset and width; nothing but what the specification says can be written.
 * sectors=N, queues=N.
 */
#include "virtio.h"

enum { ALL_ONES = 0xffffffff, CONFIG_SPACE = SLOT_SIZE - V_CONFIG };

static struct disk disk;

static uint64_t ones(unsigned size)
{
    return UINT64_MAX >> (64 - 8 * size);
}

/* The bytes of the registers at the offset, read as they should be; or all ones. */
static void must_be_like_bytes(unsigned offset, unsigned size)
{
    uint32_t words[3];
    uint64_t value = get_wide(&disk, offset, size);

    for (unsigned i = 0; i < 3; i++)
        words[i] = get(&disk, (offset & ~3u) + 4 * i);
    if (value != ones(size))
        must_be(value, load((const uint8_t *)words + offset % 4, size));
}

/* What the register is to be after power-on; all ones if it cannot be read. */
static uint32_t wanted(unsigned offset)
{
    switch (offset) {
    case V_MAGIC: return 0x74726976;
    case V_VERSION: return 2;
    case V_DEVICE_ID: return 2;
    case V_VENDOR_ID: return 0x4d56564d;
    case V_DEVICE_FEATURES: return (uint32_t)disk_offers(&disk);
    case V_QUEUE_NUM_MAX: return QUEUE_MOST;
    case V_QUEUE_READY:
    case V_INTERRUPT_STATUS:
    case V_STATUS: return 0;
    case V_CONFIG_GENERATION: return 0;
    default: return ALL_ONES; /* SHMLen of a region that is not there, too */
    }
}

static void read_every_register(void)
{
    doing = "read every register";
    for (unsigned offset = 0; offset < V_CONFIG; offset += 4) {
        uint32_t value = wanted(offset);

        put(&disk, V_DEVICE_FEATURES_SEL, 0);
        must_be(get_wide(&disk, offset, 4), value);
    }
    /* 4.2.2.2: no driver does that.  It finds what is there, or nothing. */
    doing = "read registers by wrong widths";
    put(&disk, V_DEVICE_FEATURES_SEL, 0);
    for (unsigned offset = 0; offset < V_CONFIG; offset++)
        for (unsigned size = 1; size <= 8; size *= 2)
            if (offset % 4 || size != 4)
                must_be_like_bytes(offset, size);
}

/* 4.2.2.2: only 32 bits, aligned. */
static void write_by_wrong_widths(void)
{
    static const unsigned sizes[] = {1, 2, 8};

    doing = "write registers by wrong widths";
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        put_wide(&disk, V_STATUS, sizes[i], ACKNOWLEDGE);
        must_be(get(&disk, V_STATUS), 0);
        put_wide(&disk, V_QUEUE_SEL, sizes[i], 0xff);
        must_be(get(&disk, V_QUEUE_NUM_MAX), QUEUE_MOST);
    }
    for (unsigned offset = V_STATUS - 3; offset < V_STATUS + 4; offset++)
        if (offset != V_STATUS)
            put_wide(&disk, offset, 4, ALL_ONES);
    must_be(get(&disk, V_STATUS), 0);
    put(&disk, V_STATUS, ACKNOWLEDGE);
    put_wide(&disk, V_STATUS, 1, 0);
    put_wide(&disk, V_STATUS, 2, 0);
    put_wide(&disk, V_STATUS, 8, 0);
    must_be(get(&disk, V_STATUS), ACKNOWLEDGE);
    put(&disk, V_STATUS, 0);
}

static void write_what_is_read_only(void)
{
    static const unsigned offsets[] = {V_MAGIC,
                                       V_VERSION,
                                       V_DEVICE_ID,
                                       V_VENDOR_ID,
                                       V_DEVICE_FEATURES,
                                       V_QUEUE_NUM_MAX,
                                       0x1c,
                                       V_INTERRUPT_STATUS,
                                       0x28,
                                       0x40,
                                       0x48,
                                       0xac,
                                       0xb0,
                                       0xb4,
                                       0xb8,
                                       0xbc,
                                       V_CONFIG_GENERATION};

    doing = "write what is read-only";
    for (unsigned i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        put(&disk, offsets[i], 0);
        put(&disk, offsets[i], ALL_ONES);
    }
    for (unsigned offset = 0; offset < V_CONFIG; offset += 4) {
        uint32_t value = wanted(offset);

        put(&disk, V_DEVICE_FEATURES_SEL, 0);
        must_be(get(&disk, offset), value);
    }
}

static void select_features(void)
{
    doing = "select features";
    must(disk_offers(&disk) & F_VERSION_1);
    for (unsigned i = 0; i < 32; i++) { /* 3, 2, 4, 8 ... 2^31 */
        put(&disk, V_DEVICE_FEATURES_SEL, i == 0 ? 3 : 1u << i);
        must_be(get(&disk, V_DEVICE_FEATURES), 0);
    }
    put(&disk, V_DEVICE_FEATURES_SEL, ALL_ONES);
    must_be(get(&disk, V_DEVICE_FEATURES), 0);
    /* Features that the driver writes beyond 64 bits are nowhere. */
    put(&disk, V_STATUS, ACKNOWLEDGE);
    put(&disk, V_STATUS, ACKNOWLEDGE | DRIVER);
    put(&disk, V_DRIVER_FEATURES_SEL, 1);
    put(&disk, V_DRIVER_FEATURES, (uint32_t)(F_VERSION_1 >> 32));
    put(&disk, V_DRIVER_FEATURES_SEL, 2);
    put(&disk, V_DRIVER_FEATURES, ALL_ONES);
    put(&disk, V_DRIVER_FEATURES_SEL, ALL_ONES);
    put(&disk, V_DRIVER_FEATURES, ALL_ONES);
    put(&disk, V_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    must_be(get(&disk, V_STATUS), ACKNOWLEDGE | DRIVER | FEATURES_OK);
    disk_reset(&disk);
}

static void select_queues(void)
{
    unsigned queues = (unsigned)option("queues", 1);

    doing = "select queues";
    for (unsigned i = 0; i < queues; i++) {
        put(&disk, V_QUEUE_SEL, i);
        must_be(get(&disk, V_QUEUE_NUM_MAX), QUEUE_MOST);
        must_be(get(&disk, V_QUEUE_READY), 0);
    }
    for (unsigned i = 0; i < 32; i++) {
        uint32_t beyond = i == 0 ? queues : i == 1 ? ALL_ONES : queues + (1u << i) - 1;

        put(&disk, V_QUEUE_SEL, beyond);
        must_be(get(&disk, V_QUEUE_NUM_MAX), 0);
        must_be(get(&disk, V_QUEUE_READY), 0);
        put(&disk, V_QUEUE_NUM, 8);
        put64(&disk, V_QUEUE_DESC, RINGS);
        put64(&disk, V_QUEUE_DRIVER, RINGS + 0x1000);
        put64(&disk, V_QUEUE_DEVICE, RINGS + 0x2000);
        put(&disk, V_QUEUE_READY, 1);
        must_be(get(&disk, V_QUEUE_READY), 0);
    }
    must_be(get(&disk, V_STATUS), 0);
    doing = "notify queues that are not there";
    put(&disk, V_QUEUE_NOTIFY, 0); /* not even set up */
    put(&disk, V_QUEUE_NOTIFY, ALL_ONES);
    disk_start(&disk, 0, 8);
    for (unsigned i = 0; i < 32; i++)
        put(&disk, V_QUEUE_NOTIFY, i == 0 ? ALL_ONES : 1u << i);
    put(&disk, V_QUEUE_SEL, ALL_ONES);
    put(&disk, V_QUEUE_NOTIFY, ALL_ONES);
    must_be(request(&disk, T_IN, 3, buffer(0), SECTOR), S_OK);
    must(is_filled(buffer(0), 3));
    must_be(get(&disk, V_STATUS), RUNNING);
    disk_reset(&disk);
}

static void check_config(void)
{
    static const unsigned sizes[] = {1, 2, 4, 8};
    uint8_t bytes[CONFIG_SPACE + 8];

    doing = "the configuration's fields";
    must_be(disk_capacity(&disk), option("sectors", 0));
    must_be(get(&disk, V_CONFIG + C_BLK_SIZE), SECTOR);
    must_be(get_wide(&disk, V_CONFIG + C_WRITEBACK, 1), 1);
    must_be(get_wide(&disk, V_CONFIG + C_NUM_QUEUES, 2), option("queues", 1));
    doing = "read the configuration at every offset and width";
    for (unsigned i = 0; i < CONFIG_SPACE; i++)
        bytes[i] = (uint8_t)get_wide(&disk, V_CONFIG + i, 1);
    for (unsigned i = C_SIZE; i < CONFIG_SPACE; i++)
        must_be(bytes[i], 0xff);
    memset(bytes + CONFIG_SPACE, 0xff, 8);
    for (unsigned i = 0; i < CONFIG_SPACE; i++)
        for (unsigned n = 0; n < 4; n++) {
            uint64_t value = get_wide(&disk, V_CONFIG + i, sizes[n]);

            if (i + sizes[n] <= C_SIZE || (i < C_SIZE && value != ones(sizes[n])))
                must_be(value, load(bytes + i, sizes[n]));
            else
                must_be(value, ones(sizes[n]));
        }
}

static void write_config(void)
{
    static const unsigned sizes[] = {1, 2, 4, 8};
    uint8_t before[CONFIG_SPACE];

    doing = "write the configuration";
    for (unsigned i = 0; i < CONFIG_SPACE; i++)
        before[i] = (uint8_t)get_wide(&disk, V_CONFIG + i, 1);
    for (unsigned i = 0; i < CONFIG_SPACE; i++)
        for (unsigned n = 0; n < 4; n++) {
            put_wide(&disk, V_CONFIG + i, sizes[n], UINT64_MAX);
            put_wide(&disk, V_CONFIG + i, sizes[n], 0);
        }
    for (unsigned i = 0; i < CONFIG_SPACE; i++)
        must_be(get_wide(&disk, V_CONFIG + i, 1), before[i]);

    doing = "write the writeback field";
    disk_negotiate(&disk, F_VERSION_1 | F_FLUSH | F_CONFIG_WCE);
    for (unsigned i = 0; i < CONFIG_SPACE; i++)
        if (i != C_WRITEBACK)
            put_wide(&disk, V_CONFIG + i, 1, 0x5a);
    for (unsigned value = 0; value < 2; value++) {
        put_wide(&disk, V_CONFIG + C_WRITEBACK, 1, value);
        for (unsigned i = 0; i < CONFIG_SPACE; i++)
            must_be(get_wide(&disk, V_CONFIG + i, 1), i == C_WRITEBACK ? value : before[i]);
    }
    put_wide(&disk, V_CONFIG + C_WRITEBACK, 1, 0);
    disk_reset(&disk);
    must_be(get_wide(&disk, V_CONFIG + C_WRITEBACK, 1), 1);
}

static void look_around(void)
{
    doing = "beside the device";
    for (unsigned size = 1; size <= 8; size *= 2) {
        must_be(get_wide(&disk, SLOT_SIZE, size), ones(size));
        must_be(get_wide(&disk, SLOT_SIZE - 1, size), ones(size)); /* begins in its last byte */
        get_wide(&disk, SLOT_STRIDE - 1, size);                    /* of two slots */
        put_wide(&disk, SLOT_SIZE - 1, size, 0);
        put_wide(&disk, SLOT_SIZE, size, 0);
        put_wide(&disk, SLOT_STRIDE - 3, size, 0);
    }
    for (unsigned slot = disk.slot + 1; slot <= 16; slot++)
        must(get_wide(&disk, (slot - disk.slot) * SLOT_STRIDE, 4) != 0x74726976);
}

void test(void)
{
    disk_init(&disk, 0);
    read_every_register();
    write_by_wrong_widths();
    write_what_is_read_only();
    select_features();
    select_queues();
    check_config();
    write_config();
    look_around();
    doing = "use it";
    must_work(&disk);
}
