// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/qkd<index>: key leaves and supply enters through here
 * (Documentation/abi/chardev.md).
 *
 * An open file holds a reference of its link, not of the link's namespace:
 * when the link goes, calls return -ENODEV, poll says EPOLLHUP and whoever
 * sleeps on link->readers is woken. It also holds the module, so that no file
 * outlives it.
 *
 * Bytes go through a kernel buffer that is wiped, never through the page
 * cache or a pipe: there is no read_iter, write_iter or splice.
 */
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <uapi/linux/qkd_dev.h>

#include "core.h"

/* QKD_REPORT_* that are not about the QBER */
#define REPORT_SUPPLY	(QKD_REPORT_NO_KEY | QKD_REPORT_AUTH_LOW)

static dev_t qkd_chardev_first;
static struct cdev qkd_chardev;
static struct class *qkd_class;

static const struct qkd_key_context qkd_read_context = {
	.class	= QKD_CLASS_EXPORT,
	.type	= QKD_CONTEXT_TYPE_NONE,
};

/*
 * link->writer belongs to one file at a time: offsets have one source. The
 * type's ops are there only as long as the link is registered.
 */
static int take_writer(struct qkd_link *link)
{
	int err;

	err = qkd_link_lock_ops(link);
	if (err)
		return err;
	if (!link->ops->user_supply)
		err = -EOPNOTSUPP;
	else if (test_and_set_bit_lock(0, &link->writer))
		err = -EBUSY;
	qkd_link_unlock_ops(link);
	return err;
}

static int qkd_chardev_open(struct inode *inode, struct file *file)
{
	struct qkd_link *link;
	int err;

	link = qkd_link_get_by_minor(iminor(inode) - MINOR(qkd_chardev_first));
	if (!link)
		return -ENODEV;
	/* It has no node, and one that somebody made by mknod opens nothing. */
	if (link->user_net) {
		err = -ENODEV;
		goto err_put_link;
	}
	if (file->f_mode & FMODE_WRITE) {
		err = take_writer(link);
		if (err)
			goto err_put_link;
	}
	file->private_data = link;
	return stream_open(inode, file);

err_put_link:
	qkd_link_put(link);
	return err;
}

/**
 * supplier_gone() - nobody measures the link any more
 * @link: link whose writer has closed
 *
 * An alarm stays, with its QBER: nobody has seen that it is over.
 */
static void supplier_gone(struct qkd_link *link)
{
	qkd_link_report(link, READ_ONCE(link->alarm) ? READ_ONCE(link->qber) : 0, 0);
}

static int qkd_chardev_release(struct inode *inode, struct file *file)
{
	const struct qkd_owner owner = { .file = file };
	struct qkd_link *link = file->private_data;

	qkd_key_release_owner(link, &owner);
	if (file->f_mode & FMODE_WRITE) {
		supplier_gone(link);
		clear_bit_unlock(0, &link->writer);
	}
	qkd_link_put(link);
	return 0;
}

/**
 * copy_key() - hand a key that was taken to the user
 * @link: its link
 * @to: where
 * @from: the bytes
 * @len: how many
 *
 * Nobody can have the key again: if the copy fails it is burnt.
 *
 * Return: 0 or -EFAULT.
 */
static int copy_key(struct qkd_link *link, void __user *to, const void *from,
		    size_t len)
{
	if (!copy_to_user(to, from, len))
		return 0;
	qkd_refuse(link, QKD_REFUSED_BURNT);
	return -EFAULT;
}

/*
 * Sleep until a key may be there. Woken by supply, by a generation that opens
 * or ends, and by the link's end; what changed is for the caller to find out.
 */
static int wait_for_link(struct qkd_link *link, struct file *file,
			 struct wait_queue_entry *wait)
{
	if (file->f_flags & O_NONBLOCK)
		return -EAGAIN;
	if (signal_pending(current))
		return -ERESTARTSYS;
	wait_woken(wait, TASK_INTERRUPTIBLE, MAX_SCHEDULE_TIMEOUT);
	return 0;
}

/* No key now, but there may be: supply lags, or the next generation begins. */
static bool is_transient(int err)
{
	return err == -ENOKEY || err == -ENETDOWN;
}

static int alloc_key_wait(struct qkd_link *link, struct file *file, u32 size,
			  struct qkd_key_record *rec)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	int err;

	add_wait_queue(&link->readers, &wait);
	do {
		err = -ENODEV;
		if (READ_ONCE(link->gone))
			break;
		err = qkd_key_alloc(link, &qkd_read_context, size, rec->id,
				    rec->key, NULL);
		if (!is_transient(err))
			break;
		err = wait_for_link(link, file, &wait);
	} while (!err);
	remove_wait_queue(&link->readers, &wait);
	return err;
}

static ssize_t qkd_chardev_read(struct file *file, char __user *buf,
				size_t count, loff_t *ppos)
{
	struct qkd_link *link = file->private_data;
	struct qkd_key_record *rec;
	int err;

	if (READ_ONCE(link->gone))
		return -ENODEV;
	if (count <= sizeof(*rec) || count > sizeof(*rec) + QKD_KEY_SIZE_MAX)
		return -EINVAL;
	err = qkd_key_may_leave(link, QKD_CLASS_EXPORT);
	if (err)
		return err;
	/* A bad pointer costs no key, unless it turns bad in the meantime. */
	if (fault_in_safe_writeable(buf, count))
		return -EFAULT;

	rec = kmalloc(count, GFP_KERNEL);
	if (!rec)
		return -ENOMEM;
	err = alloc_key_wait(link, file, count - sizeof(*rec), rec);
	if (!err)
		err = copy_key(link, buf, rec, count);
	kfree_sensitive(rec);
	return err ?: count;
}

/* Bytes of s behind the block: only where a tag will be made of it. */
static u32 confirm_len(const struct qkd_link *link)
{
	return link->cfg.confirm == QKD_CONFIRM_TAG ? QKD_TAG_LEN : 0;
}

/* What can be said of a record without looking at the stream. */
static int check_supply(const struct qkd_link *link,
			const struct qkd_supply_record *rec, size_t count)
{
	u32 step;

	if (rec->stream >= QKD_STREAMS || rec->flags & ~QKD_SUPPLY_GAP)
		return -EINVAL;
	step = rec->stream & 1 ? QKD_KEY_UNIT : QKD_PAD_GRANULE;
	if (rec->offset % step)
		return -EINVAL;
	if (rec->flags & QKD_SUPPLY_GAP)
		return rec->length || count != sizeof(*rec) ? -EINVAL : 0;
	if (!rec->length || rec->length % step ||
	    rec->length > QKD_SUPPLY_LEN_MAX)
		return -EINVAL;
	if (count != sizeof(*rec) + rec->length + confirm_len(link))
		return -EINVAL;
	return 0;
}

static int supply_wait(struct qkd_link *link, struct file *file,
		       const struct qkd_supply_record *rec, const u8 *bytes)
{
	const u8 *s = confirm_len(link) ? bytes + rec->length : NULL;
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	int err;

	add_wait_queue(&link->readers, &wait);
	do {
		err = qkd_link_supply(link, rec->generation, rec->stream,
				      rec->offset, bytes, rec->length, s);
		if (err != -ENOBUFS)
			break;
		err = wait_for_link(link, file, &wait);
	} while (!err);
	remove_wait_queue(&link->readers, &wait);
	return err;
}

static int supply_bytes(struct qkd_link *link, struct file *file,
			const struct qkd_supply_record *rec,
			const char __user *from)
{
	u32 len = rec->length + confirm_len(link);
	u8 *bytes;
	int err;

	bytes = kvmalloc(len, GFP_KERNEL_ACCOUNT);
	if (!bytes)
		return -ENOMEM;
	if (copy_from_user(bytes, from, len))
		err = -EFAULT;
	else
		err = supply_wait(link, file, rec, bytes);
	kvfree_sensitive(bytes, len);
	return err;
}

static ssize_t qkd_chardev_write(struct file *file, const char __user *buf,
				 size_t count, loff_t *ppos)
{
	struct qkd_link *link = file->private_data;
	struct qkd_supply_record rec;
	int err;

	if (READ_ONCE(link->gone))
		return -ENODEV;
	if (count < sizeof(rec))
		return -EINVAL;
	if (copy_from_user(&rec, buf, sizeof(rec)))
		return -EFAULT;
	err = check_supply(link, &rec, count);
	if (err)
		return err;
	if (rec.flags & QKD_SUPPLY_GAP)
		err = qkd_link_gap(link, rec.generation, rec.stream, rec.offset);
	else
		err = supply_bytes(link, file, &rec, buf + sizeof(rec));
	return err ?: count;
}

/* Only tx waits for room: an rx ring makes its own, by giving up the oldest. */
static bool has_room(struct qkd_link *link)
{
	struct qkd_stream_level level;
	u32 stream;

	for (stream = 0; stream < QKD_STREAMS; stream++)
		if (!qkd_link_level(link, stream, &level) && level.tx &&
		    level.room)
			return true;
	return false;
}

static __poll_t qkd_chardev_poll(struct file *file, poll_table *pt)
{
	struct qkd_link *link = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &link->readers, pt);
	if (READ_ONCE(link->gone))
		return EPOLLHUP | EPOLLERR;
	if (file->f_mode & FMODE_READ &&
	    READ_ONCE(link->cfg.export) & QKD_EXPORT_MASK_EXPORT &&
	    qkd_key_available(link, QKD_CLASS_EXPORT, QKD_KEY_UNIT))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (file->f_mode & FMODE_WRITE && has_room(link))
		mask |= EPOLLOUT | EPOLLWRNORM;
	return mask;
}

/**
 * claim_size() - bytes of the key that a claim asks for
 * @claim: the request
 * @class: out: class of the key, from its ID
 *
 * Whether the ID is genuine is seen later; here it only has to be well formed
 * and its key has to fit.
 *
 * Return: bytes, -EINVAL, or -EMSGSIZE if the user's buffer is too small.
 */
static int claim_size(const struct qkd_ioc_claim *claim, u8 *class)
{
	struct qkd_key_id id;
	u32 size;
	int err;

	err = qkd_key_id_unpack(&id, claim->id);
	if (err)
		return err;
	size = claim->size ?: id.units * QKD_KEY_UNIT;
	if (size > QKD_KEY_SIZE_MAX || claim->context_type > QKD_CONTEXT_TYPE_WIREGUARD)
		return -EINVAL;
	if (size > claim->room)
		return -EMSGSIZE;
	*class = id.class;
	return size;
}

static int ioc_claim(struct qkd_link *link, struct qkd_ioc_claim __user *arg,
		     struct qkd_ioc_claim *claim)
{
	struct qkd_key_context ctx = {
		.type	= claim->context_type,
		.len	= claim->context_len,
		.data	= claim->context,
	};
	void __user *to = u64_to_user_ptr(claim->key);
	u32 size;
	u8 *key;
	int err;

	err = claim_size(claim, &ctx.class);
	if (err < 0)
		return err;
	size = err;
	err = qkd_key_may_leave(link, ctx.class);
	if (err)
		return err;
	if (fault_in_safe_writeable(to, size) || put_user(size, &arg->size))
		return -EFAULT;

	key = kmalloc(QKD_KEY_SIZE_MAX, GFP_KERNEL);
	if (!key)
		return -ENOMEM;
	err = qkd_key_claim(link, claim->id, &ctx, key, &size, NULL);
	if (!err)
		err = copy_key(link, to, key, size);
	kfree_sensitive(key);
	return err;
}

static int qkd_ioctl_claim(struct qkd_link *link,
			   struct qkd_ioc_claim __user *arg)
{
	struct qkd_ioc_claim *claim;
	int err;

	claim = memdup_user(arg, sizeof(*claim));
	if (IS_ERR(claim))
		return PTR_ERR(claim);
	err = ioc_claim(link, arg, claim);
	kfree(claim);
	return err;
}

static int qkd_ioctl_key(struct qkd_link *link, struct qkd_ioc_key __user *arg)
{
	struct qkd_ioc_key req;
	void __user *to;
	u8 *key;
	int err;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	to = u64_to_user_ptr(req.key);
	req.size = min_t(u32, req.size, QKD_KEY_SIZE_MAX);
	if (fault_in_safe_writeable(to, req.size) || put_user(req.size, &arg->size))
		return -EFAULT;

	key = kmalloc(QKD_KEY_SIZE_MAX, GFP_KERNEL);
	if (!key)
		return -ENOMEM;
	err = qkd_key_fetch(link, req.handle, key, &req.size);
	if (!err)
		err = copy_key(link, to, key, req.size);
	/* also where it says how much room the key takes */
	if ((!err || err == -EMSGSIZE) && put_user(req.size, &arg->size))
		err = -EFAULT;
	kfree_sensitive(key);
	return err;
}

/* Of several, the one that lasts until somebody acts. */
static u32 alarm_reason(u32 alarm)
{
	if (alarm & QKD_REPORT_AUTH_LOW)
		return QKD_REASON_AUTH_LOW;
	if (alarm & QKD_REPORT_ALARM)
		return QKD_REASON_QBER;
	return alarm ? QKD_REASON_NO_KEY : QKD_REASON_NONE;
}

/* Sounded when it changes; the reason also after a generation that has cleared it. */
static void sound_alarm(struct qkd_link *link, u32 alarm)
{
	u32 reason = READ_ONCE(link->reason), now = alarm_reason(alarm), was;

	lockdep_assert_held(&link->lock);
	was = xchg(&link->alarm, alarm);
	if (was == alarm) {
		if (reason == QKD_REASON_NONE)
			WRITE_ONCE(link->reason, now);
		return;
	}
	if (alarm || reason == alarm_reason(was))
		reason = now;
	if ((was ^ alarm) & QKD_REPORT_ALARM)
		qkd_link_alarm(link, alarm & QKD_REPORT_ALARM ?
			       QKD_EVENT_TYPE_QBER_ALARM :
			       QKD_EVENT_TYPE_QBER_CLEAR, reason);
	if ((was ^ alarm) & REPORT_SUPPLY)
		qkd_link_alarm(link, alarm & REPORT_SUPPLY ?
			       QKD_EVENT_TYPE_SUPPLY_ALARM :
			       QKD_EVENT_TYPE_SUPPLY_CLEAR, reason);
}

static int qkd_ioctl_report(struct qkd_link *link,
			    const struct qkd_ioc_report __user *arg)
{
	struct qkd_ioc_report report;
	int err = 0;

	if (copy_from_user(&report, arg, sizeof(report)))
		return -EFAULT;
	if (report.qber > 1000000 ||
	    report.flags & ~(QKD_REPORT_ALARM | REPORT_SUPPLY))
		return -EINVAL;
	/* While it is held the link has its namespace, or is marked gone. */
	mutex_lock(&link->lock);
	if (link->gone) {
		err = -ENODEV;
	} else {
		qkd_link_report(link, report.qber, report.skr);
		sound_alarm(link, report.flags);
	}
	mutex_unlock(&link->lock);
	return err;
}

static long qkd_chardev_ioctl(struct file *file, unsigned int cmd,
			      unsigned long arg)
{
	struct qkd_link *link = file->private_data;
	void __user *p = (void __user *)arg;

	if (READ_ONCE(link->gone))
		return -ENODEV;
	if (cmd == QKD_IOC_REPORT)
		return file->f_mode & FMODE_WRITE ? qkd_ioctl_report(link, p) :
						    -EBADF;
	/* What comes out is key, as with read(). */
	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	switch (cmd) {
	case QKD_IOC_CLAIM:
		return qkd_ioctl_claim(link, p);
	case QKD_IOC_KEY:
		return qkd_ioctl_key(link, p);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations qkd_chardev_fops = {
	.owner		= THIS_MODULE,
	.open		= qkd_chardev_open,
	.release	= qkd_chardev_release,
	.read		= qkd_chardev_read,
	.write		= qkd_chardev_write,
	.poll		= qkd_chardev_poll,
	.unlocked_ioctl	= qkd_chardev_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

/**
 * qkd_chardev_add() - make a link's node
 * @link: registered; its index names the node and is the minor
 *
 * devtmpfs makes it root's, mode 0600; udev gives it to the group qkd. Links
 * of a user namespace get none: there is one /dev for all namespaces.
 *
 * Context: may sleep.
 * Return: 0 or an errno.
 */
int qkd_chardev_add(struct qkd_link *link)
{
	struct device *dev;

	if (link->user_net)
		return 0;
	dev = device_create(qkd_class, NULL, qkd_chardev_first + link->index,
			    NULL, "qkd%u", link->index);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	link->dev = dev;
	return 0;
}

/**
 * qkd_chardev_del() - remove a link's node and wake who sleeps on it
 * @link: no longer found by minor, and marked as gone
 *
 * Files stay open and hold the link, but say -ENODEV.
 *
 * Context: may sleep.
 */
void qkd_chardev_del(struct qkd_link *link)
{
	if (link->dev)
		device_destroy(qkd_class, qkd_chardev_first + link->index);
	link->dev = NULL;
	wake_up_poll(&link->readers, EPOLLHUP | EPOLLERR);
}

/**
 * qkd_chardev_init() - take device numbers and register the device
 *
 * Return: 0 or an errno.
 */
int __init qkd_chardev_init(void)
{
	int err;

	err = alloc_chrdev_region(&qkd_chardev_first, 0, QKD_LINKS, "qkd");
	if (err)
		return err;
	qkd_class = class_create("qkd");
	if (IS_ERR(qkd_class)) {
		err = PTR_ERR(qkd_class);
		goto err_unregister_region;
	}
	cdev_init(&qkd_chardev, &qkd_chardev_fops);
	qkd_chardev.owner = THIS_MODULE;
	err = cdev_add(&qkd_chardev, qkd_chardev_first, QKD_LINKS);
	if (err)
		goto err_destroy_class;
	return 0;

err_destroy_class:
	class_destroy(qkd_class);
err_unregister_region:
	unregister_chrdev_region(qkd_chardev_first, QKD_LINKS);
	return err;
}

/**
 * qkd_chardev_exit() - undo qkd_chardev_init(); no link is left
 */
void qkd_chardev_exit(void)
{
	cdev_del(&qkd_chardev);
	class_destroy(qkd_class);
	unregister_chrdev_region(qkd_chardev_first, QKD_LINKS);
}
