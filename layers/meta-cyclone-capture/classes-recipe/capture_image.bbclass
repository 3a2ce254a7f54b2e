# SPDX-License-Identifier: MIT
#
# Gives the image the slot layout of docs/interfaces.md: U-Boot finds /boot/zImage, board.dtb, overlay.dtbo and fabric.rbf
# under these names, as files (not links); RAUC its keyring; /usr/share/cyclone-capture says what the slot holds (release.json)
# and what it was made of (board.json, lock.json; firmware/provenance.py).
#
#   RAUC_KEYRING_FILE           certificates that a bundle's signature must chain to; required
#   CYCLONE_CAPTURE_VERSION     version of the image
#   CYCLONE_CAPTURE_EPOCH       when it was committed, in seconds: the time of every file, and the board's first idea of time
#   CYCLONE_CAPTURE_FABRIC_ID   set by the machine
#   CYCLONE_CAPTURE_GROUPS      groups of the recipes' users, which both people are in; set by the image

inherit extrausers linux-kernel-base

CYCLONE_CAPTURE_VERSION ??= "0"
RAUC_KEYRING_FILE ??= ""

# Two builds of one commit are to be the same (docs/yocto.md): times and identities that would be now, or random. Without an
# epoch OpenEmbedded-Core's own holds, of 2018, at which no certificate is valid yet.
CYCLONE_CAPTURE_EPOCH ??= "1520598896"
REPRODUCIBLE_TIMESTAMP_ROOTFS = "${CYCLONE_CAPTURE_EPOCH}"
CYCLONE_CAPTURE_SLOT_UUID = "${@capture_uuid(d, "slot")}"
CYCLONE_CAPTURE_DATA_UUID = "${@capture_uuid(d, "data")}"
EXTRA_IMAGECMD:append:ext4 = " -U ${CYCLONE_CAPTURE_SLOT_UUID} -E hash_seed=${CYCLONE_CAPTURE_SLOT_UUID}"

def capture_uuid(d, name):
    """Identity of a file system: of the board, the version and its name."""
    import uuid
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, " ".join((d.getVar("MACHINE"), d.getVar("CYCLONE_CAPTURE_VERSION"), name))))

# As firmware/accounts.py. Log-in is by key only: no password fits "*". Who is an engineer may read the journal, too.
CYCLONE_CAPTURE_GROUPS ??= ""
PERSON = "--user-group --no-create-home --shell ${base_bindir}/sh --password '*'"
PERSON_GROUPS = "${@",".join(d.getVar("CYCLONE_CAPTURE_GROUPS").split())}"
EXTRA_USERS_PARAMS = "\
    useradd --uid 1000 ${@"--groups ${PERSON_GROUPS}" if d.getVar("PERSON_GROUPS") else ""} ${PERSON} operator; \
    useradd --uid 1001 --groups systemd-journal${@",${PERSON_GROUPS}" if d.getVar("PERSON_GROUPS") else ""} ${PERSON} engineer;"

ROOTFS_POSTPROCESS_COMMAND += "capture_overrides capture_folders capture_boot_files capture_keyring capture_release capture_provenance"

# Files that no recipe brings: what is in them counts for the signature, not where they are on the build host.
CYCLONE_CAPTURE_PROVENANCE = "${CYCLONE_CAPTURE_RENDERED}/yocto/provenance"
do_rootfs[file-checksums] += "\
    ${CYCLONE_CAPTURE_PROVENANCE}/board.json:True \
    ${CYCLONE_CAPTURE_PROVENANCE}/lock.json:True \
    ${@"${RAUC_KEYRING_FILE}:True" if d.getVar("RAUC_KEYRING_FILE") else ""}"
capture_provenance[vardepsexclude] += "CYCLONE_CAPTURE_PROVENANCE"
capture_keyring[vardepsexclude] += "RAUC_KEYRING_FILE"

# Files that base-files or netbase own (firmware/yocto.py, CONTESTED)
capture_overrides() {
    overrides="${IMAGE_ROOTFS}${datadir}/cyclone-capture/overrides"
    if [ -d "$overrides" ]; then
        cp -R --no-preserve=ownership "$overrides/." "${IMAGE_ROOTFS}/"
        rm -r "$overrides"
    fi
}

# The mount point of the data partition; and systemd's clock starts at this file's time, never before: boards have no RTC.
capture_folders() {
    install -d "${IMAGE_ROOTFS}/data"
    touch "${IMAGE_ROOTFS}${nonarch_libdir}/clock-epoch"
}

capture_keyring() {
    if [ ! -s "${RAUC_KEYRING_FILE}" ]; then
        bbfatal "RAUC_KEYRING_FILE names no file: the board could not tell a genuine upgrade from a forged one"
    fi
    install -D -m 0644 "${RAUC_KEYRING_FILE}" "${IMAGE_ROOTFS}${sysconfdir}/rauc/keyring.pem"
}

capture_provenance() {
    for name in board.json lock.json; do
        install -D -m 0644 "${CYCLONE_CAPTURE_PROVENANCE}/$name" "${IMAGE_ROOTFS}${datadir}/cyclone-capture/$name"
    done
}

capture_boot_files() {
    boot="${IMAGE_ROOTFS}/boot"
    kernel=$(readlink -f "$boot/${KERNEL_IMAGETYPE}")
    rm "$boot/${KERNEL_IMAGETYPE}"
    mv "$kernel" "$boot/zImage"
    mv "$boot/$(basename "${KERNEL_DEVICETREE}")" "$boot/board.dtb"
    for name in zImage board.dtb overlay.dtbo fabric.rbf; do
        if [ ! -f "$boot/$name" ]; then
            bbfatal "the slot has no /boot/$name, without which U-Boot cannot start it"
        fi
    done
}

python capture_release() {
    import json
    release = {
        "board": d.getVar("MACHINE"),
        "version": d.getVar("CYCLONE_CAPTURE_VERSION"),
        "engine": "yocto",
        "kernel": get_kernelversion_file(d.getVar("STAGING_KERNEL_BUILDDIR")),
        "fabric_id": int(d.getVar("CYCLONE_CAPTURE_FABRIC_ID"), 0),
    }
    folder = os.path.join(d.getVar("IMAGE_ROOTFS"), "usr/share/cyclone-capture")
    bb.utils.mkdirhier(folder)
    with open(os.path.join(folder, "release.json"), "w") as stream:
        json.dump(release, stream, indent=2, sort_keys=True)
        stream.write("\n")
}
