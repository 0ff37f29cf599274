/* What DPDK has in its headers only, and what would need its structures on the other side: those
 * change between releases, so they stay here. Nothing in here decides anything. */

#define _GNU_SOURCE

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_prefetch.h>
#include <rte_ring.h>
#include <rte_version.h>

#if RTE_VERSION < RTE_VERSION_NUM(22, 11, 0, 0)
#error "libdpdk 22.11 or newer is needed"
#endif

/* ---- Frames: `Raw` of src/sys/mbuf.rs ---- */

/* The most frames that one call moves: `BURST` of src/sys/mbuf.rs. */
#define WHOHAS_BURST 32

/* What is known of a frame: `Flags` of src/sys/mbuf.rs. */
#define WHOHAS_HASHED (1 << 0)
#define WHOHAS_SUM_GOOD (1 << 1)
#define WHOHAS_SUM_BAD (1 << 2)
/* It is of the pool of the queue that has received it. */
#define WHOHAS_OWN (1 << 5)
/* What the card is to do with it. */
#define WHOHAS_SUM_TCP (1 << 3)
#define WHOHAS_SUM_UDP (1 << 4)

struct whohas_frame {
	struct rte_mbuf *mbuf;
	uint8_t *buffer;
	uint32_t hash;
	uint16_t capacity;
	uint16_t start;
	uint16_t len;
	uint8_t flags;
	uint8_t l2_len;
	uint8_t l3_len;
};

static inline void whohas_describe(struct rte_mbuf *mbuf, struct whohas_frame *frame)
{
	uint8_t flags = 0;

	if (mbuf->ol_flags & RTE_MBUF_F_RX_RSS_HASH)
		flags |= WHOHAS_HASHED;
	switch (mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
	case RTE_MBUF_F_RX_L4_CKSUM_GOOD:
		flags |= WHOHAS_SUM_GOOD;
		break;
	case RTE_MBUF_F_RX_L4_CKSUM_BAD:
		flags |= WHOHAS_SUM_BAD;
		break;
	default:
		break;
	}
	*frame = (struct whohas_frame){
		.mbuf = mbuf,
		.buffer = mbuf->buf_addr,
		.hash = mbuf->hash.rss,
		.capacity = mbuf->buf_len,
		.start = mbuf->data_off,
		.len = rte_pktmbuf_data_len(mbuf),
		.flags = flags,
	};
}

/* One piece of memory that is nobody else's. */
static inline bool whohas_is_ours(const struct rte_mbuf *mbuf)
{
	return RTE_MBUF_DIRECT(mbuf) && rte_mbuf_refcnt_read(mbuf) == 1;
}

static bool whohas_join(struct rte_mbuf *mbuf)
{
	for (struct rte_mbuf *part = mbuf; part != NULL; part = part->next)
		if (!whohas_is_ours(part))
			return false;
	return rte_pktmbuf_linearize(mbuf) == 0;
}

uint16_t whohas_receive(uint16_t port, uint16_t queue, const struct rte_mempool *pool,
			struct whohas_frame *frames, uint16_t count, uint16_t *refused)
{
	struct rte_mbuf *mbufs[WHOHAS_BURST];
	uint16_t kept = 0;
	uint16_t got = rte_eth_rx_burst(port, queue, mbufs, RTE_MIN(count, WHOHAS_BURST));

	*refused = 0;
	for (uint16_t i = 0; i < got; i++) {
		struct rte_mbuf *mbuf = mbufs[i];

		rte_prefetch0(rte_pktmbuf_mtod(mbuf, void *));
		if (unlikely(mbuf->nb_segs != 1 ? !whohas_join(mbuf) : !whohas_is_ours(mbuf))) {
			rte_pktmbuf_free(mbuf);
			++*refused;
			continue;
		}
		whohas_describe(mbuf, &frames[kept]);
		if (mbuf->pool == pool)
			frames[kept].flags |= WHOHAS_OWN;
		kept++;
	}
	return kept;
}

static inline struct rte_mbuf *whohas_written(const struct whohas_frame *frame)
{
	struct rte_mbuf *mbuf = frame->mbuf;

	mbuf->data_off = frame->start;
	mbuf->data_len = frame->len;
	mbuf->pkt_len = frame->len;
	mbuf->ol_flags = 0;
	if (frame->flags & (WHOHAS_SUM_TCP | WHOHAS_SUM_UDP)) {
		mbuf->ol_flags = RTE_MBUF_F_TX_IPV4 | (frame->flags & WHOHAS_SUM_TCP
							       ? RTE_MBUF_F_TX_TCP_CKSUM
							       : RTE_MBUF_F_TX_UDP_CKSUM);
		mbuf->l2_len = frame->l2_len;
		mbuf->l3_len = frame->l3_len;
	}
	return mbuf;
}

uint16_t whohas_send(uint16_t port, uint16_t queue, const struct whohas_frame *frames,
		     uint16_t count)
{
	struct rte_mbuf *mbufs[WHOHAS_BURST];

	count = RTE_MIN(count, WHOHAS_BURST);
	for (uint16_t i = 0; i < count; i++)
		mbufs[i] = whohas_written(&frames[i]);
	return rte_eth_tx_burst(port, queue, mbufs, count);
}

bool whohas_allocate(struct rte_mempool *pool, struct whohas_frame *frames, uint16_t count)
{
	struct rte_mbuf *mbufs[WHOHAS_BURST];

	count = RTE_MIN(count, WHOHAS_BURST);
	if (rte_pktmbuf_alloc_bulk(pool, mbufs, count) != 0)
		return false;
	for (uint16_t i = 0; i < count; i++)
		whohas_describe(mbufs[i], &frames[i]);
	return true;
}

void whohas_free(const struct whohas_frame *frames, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++)
		rte_pktmbuf_free(frames[i].mbuf);
}

/* ---- Rings with a port behind them ---- */

bool whohas_ring_put(struct rte_ring *ring, const struct whohas_frame *frame)
{
	struct rte_mbuf *mbuf = whohas_written(frame);

	return rte_ring_enqueue(ring, mbuf) == 0;
}

/* One frame in several pieces; all of them are taken, or none. */
bool whohas_ring_put_chain(struct rte_ring *ring, const struct whohas_frame *frames, uint16_t count)
{
	struct rte_mbuf *head = whohas_written(&frames[0]);
	struct rte_mbuf *last = head;

	for (uint16_t i = 1; i < count; i++) {
		struct rte_mbuf *mbuf = whohas_written(&frames[i]);

		last->next = mbuf;
		last = mbuf;
		head->nb_segs++;
		head->pkt_len += mbuf->data_len;
	}
	if (rte_ring_enqueue(ring, head) == 0)
		return true;
	while (head != NULL) {
		struct rte_mbuf *next = head->next;

		head->next = NULL;
		head->nb_segs = 1;
		head = next;
	}
	return false;
}

bool whohas_ring_take(struct rte_ring *ring, struct whohas_frame *frame)
{
	void *mbuf;

	if (rte_ring_dequeue(ring, &mbuf) != 0)
		return false;
	whohas_describe(mbuf, frame);
	return true;
}

/* ---- Ports: `RawInfo`, `Setup`, ... of src/sys/device.rs ---- */

struct whohas_info {
	uint64_t rx_offloads;
	uint64_t tx_offloads;
	uint64_t rss_functions;
	uint16_t max_rx_queues;
	uint16_t max_tx_queues;
	uint16_t min_mtu;
	uint16_t max_mtu;
	uint16_t mtu;
	uint16_t rss_table_len;
	uint8_t rss_key_len;
	uint8_t mac[6];
	char driver[64];
};

int whohas_info(uint16_t port, struct whohas_info *out)
{
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	int code = rte_eth_dev_info_get(port, &info);

	if (code == 0)
		code = rte_eth_macaddr_get(port, &mac);
	if (code != 0)
		return code;
	*out = (struct whohas_info){
		.rx_offloads = info.rx_offload_capa,
		.tx_offloads = info.tx_offload_capa,
		.rss_functions = info.flow_type_rss_offloads,
		.max_rx_queues = info.max_rx_queues,
		.max_tx_queues = info.max_tx_queues,
		.min_mtu = info.min_mtu,
		.max_mtu = info.max_mtu,
		.rss_table_len = info.reta_size,
		.rss_key_len = info.hash_key_size,
	};
	memcpy(out->mac, mac.addr_bytes, sizeof(out->mac));
	snprintf(out->driver, sizeof(out->driver), "%s", info.driver_name);
	return rte_eth_dev_get_mtu(port, &out->mtu);
}

const uint16_t whohas_max_ports = RTE_MAX_ETHPORTS;
const uint64_t whohas_rx_tcp_sum = RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
const uint64_t whohas_rx_udp_sum = RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
const uint64_t whohas_tx_tcp_sum = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
const uint64_t whohas_tx_udp_sum = RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
const uint64_t whohas_rss_tcp = RTE_ETH_RSS_NONFRAG_IPV4_TCP;
const uint64_t whohas_rss_ip = RTE_ETH_RSS_IPV4;

struct whohas_setup {
	struct rte_mempool *const *pools; /* one for each queue */
	const uint8_t *rss_key;           /* may be null */
	uint64_t rss_functions;           /* 0: one queue, or no say in how flows are spread */
	uint64_t rx_offloads;
	uint64_t tx_offloads;
	uint16_t queues;
	uint16_t rx_descriptors;
	uint16_t tx_descriptors;
	uint16_t mtu; /* 0: as it is */
	uint8_t rss_key_len;
	bool promiscuous;
};

/* Configures and starts a port. Where that fails, `call` is what failed. */
int whohas_start(uint16_t port, const struct whohas_setup *setup, const char **call)
{
	struct rte_eth_conf conf;
	uint16_t rx_descriptors = setup->rx_descriptors;
	uint16_t tx_descriptors = setup->tx_descriptors;
	int socket = rte_eth_dev_socket_id(port);
	int code;

	memset(&conf, 0, sizeof(conf));
	conf.rxmode.offloads = setup->rx_offloads;
	conf.txmode.offloads = setup->tx_offloads;
	if (setup->mtu != 0)
		conf.rxmode.mtu = setup->mtu;
	if (setup->rss_functions != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_key = (uint8_t *)(uintptr_t)setup->rss_key;
		conf.rx_adv_conf.rss_conf.rss_key_len = setup->rss_key_len;
		conf.rx_adv_conf.rss_conf.rss_hf = setup->rss_functions;
	}

	*call = "rte_eth_dev_configure";
	code = rte_eth_dev_configure(port, setup->queues, setup->queues, &conf);
	if (code != 0)
		return code;
	*call = "rte_eth_dev_adjust_nb_rx_tx_desc";
	code = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx_descriptors, &tx_descriptors);
	for (uint16_t queue = 0; code == 0 && queue < setup->queues; queue++) {
		*call = "rte_eth_rx_queue_setup";
		code = rte_eth_rx_queue_setup(port, queue, rx_descriptors, socket, NULL,
					      setup->pools[queue]);
		if (code != 0)
			return code;
		*call = "rte_eth_tx_queue_setup";
		code = rte_eth_tx_queue_setup(port, queue, tx_descriptors, socket, NULL);
	}
	if (code == 0) {
		*call = "rte_eth_dev_start";
		code = rte_eth_dev_start(port);
	}
	if (code == 0 && setup->promiscuous) {
		*call = "rte_eth_promiscuous_enable";
		code = rte_eth_promiscuous_enable(port);
		if (code != 0)
			rte_eth_dev_stop(port);
	}
	return code;
}

struct whohas_link {
	uint32_t mbit_per_s;
	bool up;
	bool full_duplex;
};

int whohas_link(uint16_t port, struct whohas_link *out)
{
	struct rte_eth_link link;
	int code = rte_eth_link_get_nowait(port, &link);

	if (code == 0)
		*out = (struct whohas_link){
			.mbit_per_s = link.link_speed,
			.up = link.link_status == RTE_ETH_LINK_UP,
			.full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX,
		};
	return code;
}

struct whohas_stats {
	uint64_t rx_frames, tx_frames, rx_bytes, tx_bytes;
	uint64_t rx_missed, rx_errors, tx_errors, rx_no_mbuf;
};

int whohas_stats(uint16_t port, struct whohas_stats *out)
{
	struct rte_eth_stats stats;
	int code = rte_eth_stats_get(port, &stats);

	if (code == 0)
		*out = (struct whohas_stats){
			.rx_frames = stats.ipackets,
			.tx_frames = stats.opackets,
			.rx_bytes = stats.ibytes,
			.tx_bytes = stats.obytes,
			.rx_missed = stats.imissed,
			.rx_errors = stats.ierrors,
			.tx_errors = stats.oerrors,
			.rx_no_mbuf = stats.rx_nombuf,
		};
	return code;
}

int whohas_set_mac(uint16_t port, const uint8_t bytes[6])
{
	struct rte_ether_addr mac;

	memcpy(mac.addr_bytes, bytes, sizeof(mac.addr_bytes));
	return rte_eth_dev_default_mac_addr_set(port, &mac);
}

int whohas_rss_key(uint16_t port, uint8_t *key, uint8_t len, uint64_t *functions)
{
	struct rte_eth_rss_conf conf;
	int code;

	memset(&conf, 0, sizeof(conf));
	conf.rss_key = key;
	conf.rss_key_len = len;
	code = rte_eth_dev_rss_hash_conf_get(port, &conf);
	*functions = conf.rss_hf;
	return code;
}

/* The table, a group of entries at a time. */
struct whohas_groups {
	struct rte_eth_rss_reta_entry64 of[UINT16_MAX / RTE_ETH_RETA_GROUP_SIZE + 1];
};

static void whohas_want(struct whohas_groups *groups, uint16_t len)
{
	memset(groups, 0, sizeof(*groups));
	for (uint16_t i = 0; i < len; i++)
		groups->of[i / RTE_ETH_RETA_GROUP_SIZE].mask |=
			UINT64_C(1) << (i % RTE_ETH_RETA_GROUP_SIZE);
}

int whohas_rss_table(uint16_t port, uint16_t *table, uint16_t len)
{
	struct whohas_groups groups;
	int code;

	whohas_want(&groups, len);
	code = rte_eth_dev_rss_reta_query(port, groups.of, len);
	for (uint16_t i = 0; code == 0 && i < len; i++)
		table[i] = groups.of[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
	return code;
}

int whohas_set_rss_table(uint16_t port, const uint16_t *table, uint16_t len)
{
	struct whohas_groups groups;

	whohas_want(&groups, len);
	for (uint16_t i = 0; i < len; i++)
		groups.of[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = table[i];
	return rte_eth_dev_rss_reta_update(port, groups.of, len);
}

/* Has the card put all ARP on one queue. What a driver has to say about it goes to `message`. */
struct rte_flow *whohas_steer_arp(uint16_t port, uint16_t queue, char *message, size_t len)
{
	const struct rte_flow_attr attributes = {.ingress = 1};
	const struct rte_flow_item_eth ethernet = {
		.hdr.ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP),
	};
	const struct rte_flow_item_eth mask = {
		.hdr.ether_type = RTE_BE16(UINT16_MAX),
	};
	const struct rte_flow_item pattern[] = {
		{.type = RTE_FLOW_ITEM_TYPE_ETH, .spec = &ethernet, .mask = &mask},
		{.type = RTE_FLOW_ITEM_TYPE_END},
	};
	const struct rte_flow_action_queue to = {.index = queue};
	const struct rte_flow_action actions[] = {
		{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to},
		{.type = RTE_FLOW_ACTION_TYPE_END},
	};
	struct rte_flow_error error = {0};
	struct rte_flow *flow = rte_flow_create(port, &attributes, pattern, actions, &error);

	snprintf(message, len, "%s", error.message != NULL ? error.message : "");
	return flow;
}

void whohas_forget_flow(uint16_t port, struct rte_flow *flow)
{
	rte_flow_destroy(port, flow, NULL);
}

/* ---- The rest ---- */

int whohas_errno(void)
{
	return rte_errno;
}

/* The last that DPDK has logged, to say it with an error. */
static pthread_mutex_t whohas_log_lock = PTHREAD_MUTEX_INITIALIZER;
static char whohas_log_bytes[2048];
static size_t whohas_log_len;
static bool whohas_log_echo;

static ssize_t whohas_log_write(void *cookie, const char *bytes, size_t len)
{
	const size_t room = sizeof(whohas_log_bytes);
	const size_t all = len;

	(void)cookie;
	if (whohas_log_echo)
		fwrite(bytes, 1, len, stderr);
	pthread_mutex_lock(&whohas_log_lock);
	if (len > room) {
		bytes += len - room;
		len = room;
	}
	if (len > room - whohas_log_len) {
		const size_t surplus = len - (room - whohas_log_len);

		memmove(whohas_log_bytes, whohas_log_bytes + surplus, whohas_log_len - surplus);
		whohas_log_len -= surplus;
	}
	memcpy(whohas_log_bytes + whohas_log_len, bytes, len);
	whohas_log_len += len;
	pthread_mutex_unlock(&whohas_log_lock);
	return (ssize_t)all;
}

/* Has DPDK's log kept here, and written to the standard error only if that is wanted. */
bool whohas_log_keep(bool echo)
{
	static const cookie_io_functions_t functions = {.write = whohas_log_write};
	FILE *stream = fopencookie(NULL, "w", functions);

	if (stream == NULL)
		return false;
	setlinebuf(stream);
	whohas_log_echo = echo;
	return rte_openlog_stream(stream) == 0;
}

/* Moves what was logged to `bytes`. */
size_t whohas_log_take(char *bytes, size_t room)
{
	size_t len;

	pthread_mutex_lock(&whohas_log_lock);
	len = RTE_MIN(room, whohas_log_len);
	memcpy(bytes, whohas_log_bytes, len);
	whohas_log_len = 0;
	pthread_mutex_unlock(&whohas_log_lock);
	return len;
}
