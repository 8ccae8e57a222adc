// Opening a TUN or TAP device: the ioctls in their order, and for each failure what the user can do about it.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "link/tun.h"

namespace leat {
namespace {

constexpr const char* kDevice = "/dev/net/tun";
constexpr unsigned kOffloadUso = 0x20 | 0x40;  // TUN_F_USO4, TUN_F_USO6: younger (6.2) than some headers

Result<void> fail(int reason, std::string& error, std::string text) {
  error = std::move(text);
  return err(reason);
}

std::string device_error(int reason) {
  const std::string device = kDevice;
  switch (reason) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return device +
             " is missing: load the module (modprobe tun) or, in a container, pass the device in "
             "(--device " +
             device + ")";
    case EACCES:
    case EPERM:
      return "no rights to open " + device + ": run as root or give the device mode 0666";
    default:
      return "cannot open " + device + ": " + strerror(reason);
  }
}

std::string attach_error(int reason, const std::string& name, const char* mode) {
  switch (reason) {
    case EPERM:
      return "no rights to create or use '" + name +
             "': run as root (CAP_NET_ADMIN), or create it beforehand with "
             "`ip tuntap add dev " +
             name + " mode " + mode + " user $USER`";
    case EBUSY:
      return "'" + name + "' is busy: another program is attached to it";
    case EINVAL:
      return "'" + name + "' exists but is no " + mode +
             " device that can be attached to (another kind of interface, "
             "the other mode, or multi_queue)";
    default:
      return "cannot create '" + name + "': " + strerror(reason);
  }
}

// What the kernel would refuse with a bare EINVAL, or cut silently.
std::string name_error(const std::string& name) {
  if (name.size() >= IFNAMSIZ)
    return "interface name '" + name + "' is too long: " + std::to_string(name.size()) + " bytes, at most 15";
  if (name == "." || name == ".." || name.find_first_of("/: \t\n%") != std::string::npos ||
      name.find('\0') != std::string::npos)
    return "interface name '" + name + "' is not valid: no '/', ':', '%' or blanks";
  return {};
}

// Locally administered, the same in every run: 02:6c and a hash (FNV-1a) of the name.
void make_mac(const std::string& name, uint8_t* mac) {
  uint32_t hash = 2166136261u;
  for (const char c : name)
    hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  mac[0] = 0x02;
  mac[1] = 0x6c;
  store_be32(mac + 2, hash);
}

ifreq make_request(const std::string& name) {
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  return request;
}

}  // namespace

TunLink::~TunLink() = default;
TapLink::~TapLink() = default;

Result<std::unique_ptr<TunLink>> TunLink::open(const TunOptions& options, std::string& error) {
  std::unique_ptr<TunLink> link(new TunLink);
  if (auto started = link->start(LinkKind::kIp, options, error); !started) return std::unexpected(started.error());
  return link;
}

Result<std::unique_ptr<TapLink>> TapLink::open(const TunOptions& options, std::string& error) {
  std::unique_ptr<TapLink> link(new TapLink);
  if (auto started = link->start(LinkKind::kEthernet, options, error); !started)
    return std::unexpected(started.error());
  return link;
}

Result<void> TunTapLink::start(LinkKind kind, const TunOptions& options, std::string& error) {
  error = name_error(options.name);
  if (!error.empty()) return err(options.name.size() >= IFNAMSIZ ? ENAMETOOLONG : EINVAL);
  features_.kind = kind;
  fd_ = ::open(kDevice, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd_ < 0) return fail(errno, error, device_error(errno));
  if (auto attached = attach(options, error); !attached) return attached;
  if (options.offload) {
    if (auto enabled = enable_offload(error); !enabled) return enabled;
  }
  if (kind == LinkKind::kEthernet) {
    std::memcpy(features_.mac, options.mac, sizeof features_.mac);
    if (load_be32(features_.mac) == 0 && load_be16(features_.mac + 4) == 0) make_mac(name_, features_.mac);
  }
  features_.mtu = options.mtu;
  return options.mtu != 0 ? Result<void>{} : read_mtu(error);
}

Result<void> TunTapLink::attach(const TunOptions& options, std::string& error) {
  const bool is_tap = features_.kind == LinkKind::kEthernet;
  ifreq request = make_request(options.name);
  has_vnet_header_ = options.offload;
  request.ifr_flags =
      static_cast<short>((is_tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI | (has_vnet_header_ ? IFF_VNET_HDR : 0));
  if (ioctl(fd_, TUNSETIFF, &request) != 0)
    return fail(errno, error, attach_error(errno, options.name, is_tap ? "tap" : "tun"));
  name_ = request.ifr_name;
  return {};
}

Result<void> TunTapLink::enable_offload(std::string& error) {
  const unsigned offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (ioctl(fd_, TUNSETOFFLOAD, offload | kOffloadUso) != 0 && ioctl(fd_, TUNSETOFFLOAD, offload) != 0)
    return fail(errno, error, "'" + name_ + "' cannot offload: " + strerror(errno));
  features_.verifies_checksums = true;
  features_.takes_partial_checksums = true;
  features_.max_gso_bytes = 65535;
  return {};
}

Result<void> TunTapLink::read_mtu(std::string& error) {
  const int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request = make_request(name_);
  const bool ok = s >= 0 && ioctl(s, SIOCGIFMTU, &request) == 0;
  const int reason = errno;
  if (s >= 0) close(s);
  if (!ok) return fail(reason, error, "cannot read the MTU of '" + name_ + "': " + strerror(reason));
  features_.mtu = static_cast<uint32_t>(request.ifr_mtu);
  return {};
}

}  // namespace leat
