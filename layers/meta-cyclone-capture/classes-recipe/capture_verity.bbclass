# SPDX-License-Identifier: MIT
#
# The hash tree behind a slot's file system, against which the kernel checks each block that it reads; bit for bit as by
# firmware/verity.py, which says what stands where. U-Boot finds it by /boot/verity and the superblock.
#
#   IMAGE_ROOTFS_MAXSIZE    KiB that file system and tree may have together

def verity_levels(blocks, salt):
    """The tree over the iterable `blocks` of 4096 bytes each, as the kernel has it on the disk, and its root hash."""
    import hashlib
    levels, hashes = [], [hashlib.sha256(salt + block).digest() for block in blocks]
    while len(hashes) > 1 or not levels:
        content = b"".join(hashes)
        content += bytes(-len(content) % 4096)
        levels.insert(0, content)
        hashes = [hashlib.sha256(salt + content[at : at + 4096]).digest() for at in range(0, len(content), 4096)]
    return b"".join(levels), hashes[0].hex()

def verity_add(path):
    """Put the tree behind the file system in the file `path`; what is wrong with that, or an empty text."""
    with open(path, "r+b") as stream:
        stream.seek(1024)
        superblock = stream.read(1024)
        if superblock[56:58] != b"\x53\xef" or superblock[24:28] != b"\x02\0\0\0":
            return "%s holds no ext4 file system with blocks of 4096 bytes" % path
        count, salt = int.from_bytes(superblock[4:8], "little"), superblock[104:120]
        stream.truncate(count * 4096)
        stream.seek(0)
        tree, root = verity_levels((stream.read(4096) for _ in range(count)), salt)
        table = "4096 4096 %d %d sha256 %s %s" % (count, count + 1, root, salt.hex())
        parameters = ("verity_sectors=%d\nverity_table=%s\n" % (count * 8, table)).encode()
        stream.seek(count * 4096)
        stream.write(parameters.ljust(4096, b"\0") + tree)
        stream.truncate(-(-((count + 1) * 4096 + len(tree)) // 2**20) * 2**20)
    return ""

# nooelint: oelint.vars.noncoreoverride - the functions above are called by the task below only
ROOTFS_POSTPROCESS_COMMAND += "capture_verity_mark"

capture_verity_mark() {
    echo "Behind this file system stands its hash tree, see docs/interfaces.md" > "${IMAGE_ROOTFS}/boot/verity"
    chmod 0644 "${IMAGE_ROOTFS}/boot/verity"
}

python capture_verity_tree() {
    path = "%s/%s.ext4" % (d.getVar("IMGDEPLOYDIR"), d.getVar("IMAGE_NAME"))
    fault = verity_add(path)
    if fault:
        bb.fatal(fault)
    size, limit = os.path.getsize(path) // 1024, int(d.getVar("IMAGE_ROOTFS_MAXSIZE"))
    if size > limit:
        bb.fatal("file system and hash tree have %d KiB (valid: at most %d, the slot)" % (size, limit))
}
do_image_ext4[postfuncs] += "capture_verity_tree"
