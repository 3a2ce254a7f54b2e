/*
 * The SD/MMC host's registers and state, shared by sdmmc.c (registers, commands), sdmmc_data.c, sdmmc_fault.c
 * and sdmmc_journal.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CYCLONE5_SDMMC_H
#define CYCLONE5_SDMMC_H

#include "cyclone5.h"
#include "hw/sd/sd.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Sdmmc, C5_SDMMC)

enum { CTRL = 0x00, CLKENA = 0x10, TMOUT = 0x14, BLKSIZ = 0x1c, BYTCNT = 0x20, INTMASK = 0x24, CMDARG = 0x28,
       CMD = 0x2c, RESP0 = 0x30, MINTSTS = 0x40, RINTSTS = 0x44, STATUS = 0x48, FIFOTH = 0x4c, CDETECT = 0x50,
       WRTPRT = 0x54, TCBCNT = 0x5c, TBBCNT = 0x60, DEBNCE = 0x64, USRID = 0x68, VERID = 0x6c, HCON = 0x70,
       RST_N = 0x78, BMOD = 0x80, PLDMND = 0x84, DBADDR = 0x88, IDSTS = 0x8c, IDINTEN = 0x90, DSCADDR = 0x94,
       REGISTERS_END = 0x100, FIFO = 0x200 };

#define CTRL_RESETS         7u
#define CTRL_INT_ENABLE     (1u << 4)
#define CTRL_USE_IDMAC      (1u << 25)
#define CMD_RESPONSE        (1u << 6)
#define CMD_LONG_RESPONSE   (1u << 7)
#define CMD_DATA            (1u << 9)
#define CMD_WRITE           (1u << 10)
#define CMD_AUTO_STOP       (1u << 12)
#define CMD_CLOCK_ONLY      (1u << 21)
#define CMD_START           (1u << 31)
#define INT_CARD_DETECT     (1u << 0)
#define INT_COMMAND_DONE    (1u << 2)
#define INT_DATA_OVER       (1u << 3)
#define INT_TX_REQUEST      (1u << 4)
#define INT_RX_REQUEST      (1u << 5)
#define INT_DATA_CRC        (1u << 7)
#define INT_NO_RESPONSE     (1u << 8)
#define INT_DATA_TIMEOUT    (1u << 9)
#define INT_AUTO_STOP_DONE  (1u << 14)
#define INT_END_BIT         (1u << 15)      /* of a write: the card has sent no CRC status */
#define STATUS_RX_WATERMARK (1u << 0)
#define STATUS_TX_WATERMARK (1u << 1)
#define STATUS_EMPTY        (1u << 2)
#define STATUS_CARD_PRESENT (1u << 8)
#define STATUS_COUNT_SHIFT  17
#define BMOD_RESET          (1u << 0)
#define BMOD_ENABLE         (1u << 7)
#define BMOD_SKIP(bmod)     ((((bmod) >> 2) & 0x1f) * 4)
#define ID_TRANSMITTED      (1u << 0)
#define ID_RECEIVED         (1u << 1)
#define ID_UNAVAILABLE      (1u << 4)
#define ID_NORMAL           (1u << 8)
#define ID_ABNORMAL         (1u << 9)
#define ID_SOURCES          0x337
#define DES_OWN             (1u << 31)
#define DES_RING_END        (1u << 5)
#define DES_CHAINED         (1u << 4)
#define DES_LAST            (1u << 2)
#define DES_SIZE_MASK       0x1fff
#define FIFO_WORDS          1024
#define COMMAND_NS          20000
#define MAX_DESCRIPTORS     65536       /* a run: keeps a looping list from stopping the emulator */
#define BLOCK_BYTES         512
#define OCR_POWERED_HIGH_CAPACITY 0xc0000000u
#define R1_ERRORS           0xfdf90008u
#define R1_WRITE_PROTECTED  0x04000900u     /* WP_VIOLATION; state "transfer", ready for data */
#define R1_OUT_OF_RANGE     0x80000900u

enum { CMD_STOP_TRANSMISSION = 12, CMD_READ_SINGLE = 17, CMD_READ_MULTIPLE = 18, CMD_WRITE_SINGLE = 24,
       CMD_WRITE_MULTIPLE = 25, CMD_ERASE_START = 32, CMD_ERASE_END = 33, CMD_ERASE = 38, ACMD_OP_COND = 41 };

/* Sectors [first, last] that cannot be read or written, `times` times. */
typedef struct {
    uint64_t first, last, times;
} C5SdmmcBad;

/* What is wrong with the card: QOM properties, see sdmmc_fault.c. */
typedef struct {
    uint64_t writes;            /* sectors written since power-on */
    uint64_t cut_after;         /* sectors until the power cut; 0: none */
    uint64_t write_limit;       /* sectors that can still be written */
    uint64_t block_ns;
    C5SdmmcBad read, write;
    bool cut_torn, pulled;
} C5SdmmcFaults;

struct C5Sdmmc {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    qemu_irq irq;
    SDBus *bus;
    BlockBackend *blk;
    DeviceState *card;
    QEMUTimer *alarm;
    uint32_t regs[REGISTERS_END / 4];
    uint32_t pending;           /* the command on the wire; 0: none */
    int64_t due;
    uint32_t left;              /* bytes of the data phase still to be moved */
    bool data_phase, writing, auto_stop, direct;
    bool single;                /* the command moves one block and needs no stop */
    bool refused;               /* the card has taken the command for none, and takes no data */
    uint32_t wrong;             /* bits of RINTSTS at the end of the data phase */
    bool ignoring;              /* of a write: the card takes no more of it */
    uint64_t damaged;           /* of a read: a byte of the card that comes damaged */
    bool sectors;               /* the data are sectors of the card's memory, from `position` (bytes) on */
    uint64_t position;
    uint8_t sector[BLOCK_BYTES];    /* of a write: the part that has come so far */
    QEMUTimer *data_alarm;      /* a slow card: the data phase waits */
    bool waiting;
    int64_t data_due;
    bool high_capacity;
    uint64_t erase_start, erase_end;
    C5SdmmcFaults faults;
    int journal;                /* a file; negative: none */
    bool begins;                /* what is written next is a command's first */
};

#define REG(offset) (s->regs[(offset) / 4])

static inline bool sdmmc_dma(C5Sdmmc *s)
{
    return (REG(CTRL) & CTRL_USE_IDMAC) && (REG(BMOD) & BMOD_ENABLE);
}

/* The byte of the card that a command's argument names. */
static inline uint64_t sdmmc_address(C5Sdmmc *s, uint32_t argument)
{
    return s->high_capacity ? (uint64_t)argument * BLOCK_BYTES : argument;
}

void sdmmc_update_irq(C5Sdmmc *s);

void sdmmc_data_begin(C5Sdmmc *s, uint32_t command, uint32_t response);
void sdmmc_data_abort(C5Sdmmc *s);
void sdmmc_data_alarm(void *opaque);
void sdmmc_dma_run(C5Sdmmc *s);
uint32_t sdmmc_fifo_access(C5Sdmmc *s, bool write, uint32_t word);
uint32_t sdmmc_fifo_status(C5Sdmmc *s);

/* The answer (R1) when the card refuses a command as a whole: it is worn, or the command is an erase that fails; else 0. */
uint32_t sdmmc_fault_refusal(C5Sdmmc *s, unsigned index);
/* Whether `count` sectors can be read; `bad` is the first that cannot. */
bool sdmmc_fault_readable(C5Sdmmc *s, uint64_t first, uint64_t count, uint64_t *bad);
/*
 * Write `count` sectors by `store` and count them, as far as the faults allow; false when they do not allow all. Does not
 * return when the power is cut.
 */
typedef bool SdmmcStore(C5Sdmmc *s, uint64_t first, const uint8_t *data, uint32_t count);
bool sdmmc_fault_write(C5Sdmmc *s, uint64_t first, const uint8_t *data, uint32_t count, SdmmcStore *store);
void sdmmc_fault_init(C5Sdmmc *s);
void sdmmc_fault_class_init(ObjectClass *klass);

/* Keep in the journal, if there is one, that these sectors are on the card now; `data` is NULL when they were erased. */
void sdmmc_journal_write(C5Sdmmc *s, uint64_t first, const uint8_t *data, uint32_t count);
void sdmmc_journal_init(C5Sdmmc *s);
void sdmmc_journal_class_init(ObjectClass *klass);

/* Whether the boot ROM can read these bytes of the card. */
bool sdmmc_boot_readable(uint64_t offset, uint32_t bytes);

#endif
