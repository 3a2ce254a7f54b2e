/*
 * Analog Devices ADXL345, a three-axis accelerometer on I2C, address 0x53 on all Terasic boards. Data sheet
 * ADXL345, "Register Map"; used by Linux's adxl345 drivers.
 *
 * Registers are storage, the identity and the data are read-only. The acceleration is the QOM properties `x`, `y` and `z`
 * in units of 1/256 g (what the part gives in its full resolution, and in 10 bits at 2 g): 0, 0, 256 when the board lies
 * on a table. Data ready is always set. Interrupt pins, FIFO, tap, activity and the ranges' scaling are not modelled.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"
#include "hw/i2c/i2c.h"
#include "qapi/visitor.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Adxl345, C5_ADXL345)

enum { DEVID = 0x00, BW_RATE = 0x2c, INT_SOURCE = 0x30, DATAX0 = 0x32, DATAZ1 = 0x37, FIFO_STATUS = 0x39,
       REGISTERS = 0x40 };

#define IDENTITY         0xe5
#define RATE_100_HZ      0x0a
#define SOURCE_RESET     0x82           /* data ready, watermark */

struct C5Adxl345 {
    I2CSlave parent_obj;
    uint8_t bus;                /* property: the number of the I2C controller that it is on (machine.c) */
    uint8_t regs[REGISTERS];
    uint8_t pointer;
    bool addressed;             /* the pointer has come in this transfer */
    int16_t axes[3];
};

static int adxl345_event(I2CSlave *i2c, enum i2c_event event)
{
    if (event == I2C_START_SEND) {
        C5_ADXL345(i2c)->addressed = false;
    }
    return 0;
}

static uint8_t adxl345_receive(I2CSlave *i2c)
{
    C5Adxl345 *s = C5_ADXL345(i2c);
    uint8_t at = s->pointer++ % REGISTERS;

    if (at >= DATAX0 && at <= DATAZ1) {
        return (uint16_t)s->axes[(at - DATAX0) / 2] >> (at % 2 * 8);
    }
    return s->regs[at];
}

static bool adxl345_is_read_only(uint8_t at)
{
    return at == DEVID || at == INT_SOURCE || (at >= DATAX0 && at <= DATAZ1) || at == FIFO_STATUS;
}

static int adxl345_send(I2CSlave *i2c, uint8_t data)
{
    C5Adxl345 *s = C5_ADXL345(i2c);

    if (!s->addressed) {
        s->addressed = true;
        s->pointer = data;
        return 0;
    }
    if (!adxl345_is_read_only(s->pointer % REGISTERS)) {
        s->regs[s->pointer % REGISTERS] = data;
    }
    s->pointer++;
    return 0;
}

static C5_RESET_PHASE(adxl345_reset)
{
    C5Adxl345 *s = C5_ADXL345(obj);

    memset(s->regs, 0, sizeof(s->regs));
    s->regs[DEVID] = IDENTITY;
    s->regs[BW_RATE] = RATE_100_HZ;
    s->regs[INT_SOURCE] = SOURCE_RESET;
    s->pointer = 0;
    s->addressed = false;
}

static void adxl345_get_axis(Object *obj, Visitor *v, const char *name, void *, Error **errp)
{
    visit_type_int16(v, name, &C5_ADXL345(obj)->axes[name[0] - 'x'], errp);
}

static void adxl345_set_axis(Object *obj, Visitor *v, const char *name, void *, Error **errp)
{
    visit_type_int16(v, name, &C5_ADXL345(obj)->axes[name[0] - 'x'], errp);
}

static void adxl345_init(Object *obj)
{
    static const char *const names[] = { "x", "y", "z" };

    C5_ADXL345(obj)->axes[2] = 256;
    for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
        object_property_add(obj, names[n], "int16", adxl345_get_axis, adxl345_set_axis, NULL, NULL);
    }
}

C5_PROPERTIES adxl345_properties[] = {
    DEFINE_PROP_UINT8("bus", C5Adxl345, bus, 0),
    C5_PROPERTIES_END
};

static void adxl345_class_init(ObjectClass *klass, void *)
{
    I2CSlaveClass *ic = I2C_SLAVE_CLASS(klass);

    ic->event = adxl345_event;
    ic->recv = adxl345_receive;
    ic->send = adxl345_send;
    device_class_set_props(DEVICE_CLASS(klass), adxl345_properties);
    RESETTABLE_CLASS(klass)->phases.hold = adxl345_reset;
}

static const TypeInfo adxl345_types[] = {
    {
        .name = TYPE_C5_ADXL345,
        .parent = TYPE_I2C_SLAVE,
        .instance_size = sizeof(C5Adxl345),
        .instance_init = adxl345_init,
        .class_init = adxl345_class_init,
    },
};
DEFINE_TYPES(adxl345_types)
