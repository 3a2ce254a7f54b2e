/*
 * The check that this shared object and the QEMU that has loaded it agree.
 *
 * The object is compiled against the headers of one QEMU version and configuration; a structure that has another size in
 * the running program would be written astray without a word. So the sizes that QEMU itself knows of are compared, and
 * on a difference the program ends at once with exit status 1.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"
#include "hw/cpu/a9mpcore.h"
#include "hw/i2c/i2c.h"
#include "hw/sd/sd.h"

void cyclone5_check_abi(void)
{
    static const struct {
        const char *type;
        size_t size;
    } expected[] = {
        { "object", sizeof(Object) },
        { "device", sizeof(DeviceState) },
        { "sys-bus-device", sizeof(SysBusDevice) },
        { "machine", sizeof(MachineState) },
        { "cortex-a9-arm-cpu", sizeof(ARMCPU) },
        { "a9mpcore_priv", sizeof(A9MPPrivState) },
        { "serial-mm", sizeof(SerialMM) },
        { "sd-bus", sizeof(SDBus) },
        { "i2c-slave", sizeof(I2CSlave) },
    };
    bool good = true;

    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        size_t seen = c5_instance_size(expected[i].type);

        if (seen != expected[i].size) {
            error_report("cyclone5: built for QEMU " QEMU_VERSION ", but this QEMU's '%s' has %zu bytes, not %zu",
                         expected[i].type, seen, expected[i].size);
            good = false;
        }
    }
    if (!good) {
        error_printf("The emulated board must be built anew for this QEMU.\n");
        exit(1);
    }
}
