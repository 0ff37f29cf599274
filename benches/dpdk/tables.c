/* Tables of DPDK's own, from IPv4 address to MAC address. */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <rte_errno.h>
#include <rte_fib.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>

#define BURST 32

struct rte_hash *bench_hash(uint32_t entries)
{
	struct rte_hash_parameters parameters = {
		.name = "bench",
		/* Its buckets do not fill to the last place. */
		.entries = entries + entries / 8 + 64,
		.key_len = sizeof(uint32_t),
		.hash_func = rte_hash_crc,
	};

	return rte_hash_create(&parameters);
}

bool bench_hash_insert(struct rte_hash *hash, uint32_t ip, uint64_t mac)
{
	return rte_hash_add_key_data(hash, &ip, (void *)(uintptr_t)mac) == 0;
}

/* 0: not there. */
uint64_t bench_hash_lookup(const struct rte_hash *hash, uint32_t ip)
{
	void *mac;

	return rte_hash_lookup_data(hash, &ip, &mac) < 0 ? 0 : (uintptr_t)mac;
}

void bench_hash_lookup_bulk(const struct rte_hash *hash, const uint32_t ips[BURST],
			    uint64_t macs[BURST])
{
	const void *keys[BURST];
	void *data[BURST];
	uint64_t hits;

	for (int i = 0; i < BURST; i++)
		keys[i] = &ips[i];
	rte_hash_lookup_bulk_data(hash, keys, BURST, &hits, data);
	for (int i = 0; i < BURST; i++)
		macs[i] = hits >> i & 1 ? (uintptr_t)data[i] : 0;
}

void bench_hash_free(struct rte_hash *hash)
{
	rte_hash_free(hash);
}

/* A table of routes, of which each leads to one host. */
struct rte_fib *bench_fib(uint32_t entries)
{
	struct rte_fib_conf conf = {
		.type = RTE_FIB_DIR24_8,
		.default_nh = 0,
		.max_routes = entries + 64,
		.rib_ext_sz = 0,
		.dir24_8 = {.nh_sz = RTE_FIB_DIR24_8_8B, .num_tbl8 = entries / 256 + 64},
	};

	return rte_fib_create("bench", 0, &conf);
}

bool bench_fib_insert(struct rte_fib *fib, uint32_t ip, uint64_t mac)
{
	return rte_fib_add(fib, ip, 32, mac) == 0;
}

void bench_fib_lookup_bulk(struct rte_fib *fib, uint32_t ips[BURST], uint64_t macs[BURST])
{
	rte_fib_lookup_bulk(fib, ips, macs, BURST);
}

void bench_fib_free(struct rte_fib *fib)
{
	rte_fib_free(fib);
}
