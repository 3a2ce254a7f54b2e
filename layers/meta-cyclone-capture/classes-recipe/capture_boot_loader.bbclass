# SPDX-License-Identifier: MIT
#
# SPL and U-Boot as a slot carries them, for `field-update boot-loader` of the board and the canary of each boot
# (docs/upgrade.md, "SPL and U-Boot"): the folder boot-loader in package ${PN}-capture, bit for bit made as by
# firmware/boot_loader.py. SPL takes U-Boot from one place, which is compiled into it, so it is built once for each; the
# card gets the first, which is built last.
#
#   CYCLONE_CAPTURE_U_BOOT_SECTORS    the card's sector of each place; set by the machine
#   boot-loader/layout.json           rendered: where what is, in the boot ROM's partition
#   boot-loader/environment.json      rendered: the environment that is compiled in

# All of it for Cyclone V boards only (override socfpga). The rendered files are found as the recipe's fragments are.
SRC_URI:append:socfpga = " file://boot-loader/layout.json file://boot-loader/environment.json"

# nooelint: oelint.vars.noncoreoverride - a new name, called by nobody but this class
capture_place() {
    sed -i "s/^CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR=.*/CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR=$1/" ${B}/.config
    oe_runmake -C ${S} O=${B} olddefconfig
    grep -q "^CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR=$1$" ${B}/.config || bbfatal "SPL cannot be told to take U-Boot from sector $1"
}

uboot_compile:prepend:socfpga() {
    place=0
    for sector in ${CYCLONE_CAPTURE_U_BOOT_SECTORS}; do
        if [ $place -gt 0 ]; then
            capture_place $sector
            oe_runmake -C ${S} O=${B} ${UBOOT_MAKE_OPTS} ${UBOOT_MAKE_TARGET}
            install -m 0644 ${B}/${UBOOT_BINARY} ${B}/place-$place.sfp
        fi
        place=$(expr $place + 1)
    done
    set -- ${CYCLONE_CAPTURE_U_BOOT_SECTORS}
    capture_place $1
}

def boot_loader_faults(images, layout):
    """What is wrong with the images, one for each place: sizes, SPL headers, and where U-Boot stands."""
    at, copy = layout["u_boot_offsets"], layout["spl_bytes"]
    faults = []
    if len(images) != len(at):
        faults.append("SPL is built for %d places (valid: %d)" % (len(images), len(at)))
    for place, image in enumerate(images):
        if len(image) > at[1]:
            faults.append("the image for place %d has %d bytes (valid: at most %d)" % (place, len(image), at[1]))
        for start in range(0, at[0], copy):
            if image[start + 0x40 : start + 0x44] != b"AS01":
                faults.append("the image for place %d has no SPL at %#x (valid: one each %#x)" % (place, start, copy))
        if image[at[0] : at[0] + 4] != bytes.fromhex("27051956"):
            faults.append("the image for place %d has no U-Boot at %#x (valid: a legacy image)" % (place, at[0]))
        if int.from_bytes(image[0x46:0x48], "little") * 4 > 60 << 10:
            faults.append("the SPL for place %d has more than the 60 KiB that the boot ROM takes" % place)
    return faults

def boot_loader_files(images, layout):
    """What the folder holds of the images: SPL for each place, marked, and U-Boot."""
    mark, files = b"U-Boot at place ", {}
    for place, image in enumerate(images):
        spl = image[: layout["spl_bytes"]]
        files["spl-%d" % place] = spl if place == 0 else spl[: -len(mark) - 1] + mark + bytes([place])
    files["u-boot.img"] = images[0][layout["u_boot_offsets"][0] :]
    return files

# nooelint: oelint.vars.noncoreoverride
python do_boot_loader() {
    import json, shutil
    b, rendered = d.getVar("B"), os.path.join(d.getVar("UNPACKDIR"), "boot-loader")
    with open(os.path.join(rendered, "layout.json")) as stream:
        layout = json.load(stream)
    names = [d.getVar("UBOOT_BINARY")] + ["place-%d.sfp" % n for n in range(1, len(layout["u_boot_offsets"]))]
    images = []
    for name in names:
        with open(os.path.join(b, name), "rb") as stream:
            images.append(stream.read())
    faults = boot_loader_faults(images, layout)
    if faults:
        bb.fatal("\n".join(faults))
    folder = os.path.join(b, "boot-loader")
    bb.utils.remove(folder, recurse=True)
    bb.utils.mkdirhier(folder)
    for name, content in boot_loader_files(images, layout).items():
        with open(os.path.join(folder, name), "wb") as stream:
            stream.write(content)
    for name in ("layout.json", "environment.json"):
        shutil.copyfile(os.path.join(rendered, name), os.path.join(folder, name))
}
addtask boot_loader after do_compile before do_install do_deploy

do_install:append:socfpga() {
    install -d ${D}${nonarch_libdir}/cyclone-capture/boot-loader
    install -m 0644 ${B}/boot-loader/* ${D}${nonarch_libdir}/cyclone-capture/boot-loader/
}

# ./inv verify-image compares it with the fragments once more
do_deploy:append:socfpga() {
    install -m 0644 ${B}/.config ${DEPLOYDIR}/u-boot.config
}

PACKAGE_BEFORE_PN:append:socfpga = " ${PN}-capture"
# nooelint: oelint.var.filesoverride - a package of this class's own
FILES:${PN}-capture:socfpga = "${nonarch_libdir}/cyclone-capture/boot-loader"
