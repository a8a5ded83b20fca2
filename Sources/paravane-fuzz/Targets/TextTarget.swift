import Configuration
import Random
import Silicon

/// xl's configuration files, disk and network specifications.
struct ConfigurationTarget: FuzzTarget {
  static var batch: UInt64 { 512 }
  private let words = [
    "name", "kernel", "ramdisk", "memory", "disk", "vif", "=", "+=", "[", "]", ",", ";", "\n", "#", "\"", "'", "\"\"\"", "\\", "0x1F",
    "9223372036854775808", "-1", "1e9", "'phy:/dev/a,xvda,w'", "[ 'a', \"b\", ]", "\\x41", "\\777", "\u{0}", "é", "\r\n", "\t",
  ]
  private let parts = [
    "raw", "qcow2", "file:", "phy:", "tap:aio:", "/dev/sda", "xvda", "hdc", "sda1", ",", "=", "w", "r", "ro", "cdrom", "devtype=",
    "format=",
    "vdev=", "access=", "target=", "discard", "no-discard", "mac=", "00:16:3e:00:00:01", "link=", "user", "tap:", "model=", "mtu=", "65536",
    "forward=", "tcp:", "127.0.0.1", ":", "-", "8080", "99999", "fd:", "3", "pcap:",
  ]
  init() {}

  mutating func run(_ random: inout SeededRandom) -> String? {
    if let file = try? XLConfiguration(parsing: Mutator.text(words, &random)) {
      for key in ["name", "memory", "disk", "vif"] {
        _ = try? file.string(key)
        _ = try? file.number(key)
        _ = try? file.strings(key)
      }
    }
    let text = Mutator.text(parts, &random)
    _ = (try? DiskSpecification(parsing: text))?.virtualDevice
    _ = try? NetworkSpecification(parsing: text)
    return nil
  }
}
