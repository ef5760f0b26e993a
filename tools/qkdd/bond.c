// SPDX-License-Identifier: GPL-2.0-only
/* Which device of an active-backup bond frames are sent by. */
#include <errno.h>
#include <string.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_bonding.h>
#include <linux/sockios.h>

#include "qkdd.h"

/* Names are shorter than IF_NAMESIZE: config.c sees to that. */
static void set_name(char to[IFNAMSIZ], const char *name)
{
	memset(to, 0, IFNAMSIZ);
	memcpy(to, name, strnlen(name, IFNAMSIZ - 1));
}

static int request(unsigned long number, struct ifreq *ifr)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	err = ioctl(fd, number, ifr) ? -errno : 0;
	close(fd);
	return err;
}

/**
 * bond_active - which device a bond sends by
 * @bond: its name
 * @device: out
 *
 * Return: whether there is one.
 */
bool bond_active(const char *bond, char device[IF_NAMESIZE])
{
	struct ifslave slave = {};
	struct ifreq ifr = { .ifr_data = (char *)&slave };

	set_name(ifr.ifr_name, bond);
	for (; !request(SIOCBONDSLAVEINFOQUERY, &ifr); slave.slave_id++)
		if (slave.state == BOND_STATE_ACTIVE) {
			set_name(device, slave.slave_name);
			return true;
		}
	return false;
}

/**
 * bond_activate - send by this device
 * @bond: name of the bond
 * @device: name of one of its devices, that is up
 *
 * Return: 0 or a negative errno.
 */
int bond_activate(const char *bond, const char *device)
{
	struct ifreq ifr = {};

	set_name(ifr.ifr_name, bond);
	set_name(ifr.ifr_slave, device);
	return request(SIOCBONDCHANGEACTIVE, &ifr);
}

/**
 * device_is_up - whether MKA has opened the controlled port
 * @device: name of the macsec device
 *
 * Return: true if it has.
 */
bool device_is_up(const char *device)
{
	struct ifreq ifr = {};

	set_name(ifr.ifr_name, device);
	return !request(SIOCGIFFLAGS, &ifr) && ifr.ifr_flags & IFF_UP;
}

/**
 * device_close - set a device down
 * @device: its name; it need not be there
 */
void device_close(const char *device)
{
	struct ifreq ifr = {};

	set_name(ifr.ifr_name, device);
	if (request(SIOCGIFFLAGS, &ifr) || !(ifr.ifr_flags & IFF_UP))
		return;
	ifr.ifr_flags &= ~IFF_UP;
	request(SIOCSIFFLAGS, &ifr);
}
