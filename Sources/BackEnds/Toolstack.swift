import Xenstore

/// What a toolstack writes into the store for a domain before it starts, as libxl does, and the control nodes that tools use afterwards.
public struct Toolstack {
  public let store: Store
  public let domain: DomainNumber

  public init(store: Store, domain: DomainNumber) {
    self.store = store
    self.domain = domain
  }

  public struct DomainDescription: Sendable {
    public var name: String
    /// As text: 8-4-4-4-12 hexadecimal digits.
    public var uuid: String
    public var vcpus = 1
    public var memoryKiB: UInt64
    public var maximumMemoryKiB: UInt64
    public var storePort: UInt32 = 0
    public var storeFrame: UInt64 = 0
    public var consolePort: UInt32 = 0
    public var consoleFrame: UInt64 = 0
    public init(name: String, uuid: String, memoryKiB: UInt64) {
      self.name = name
      self.uuid = uuid
      self.memoryKiB = memoryKiB
      maximumMemoryKiB = memoryKiB
    }
  }

  public var home: String { "/local/domain/\(domain)" }

  static func frontPath(_ domain: DomainNumber, _ kind: String, _ number: UInt32) -> String {
    "/local/domain/\(domain)/device/\(kind)/\(number)"
  }
  static func backPath(_ domain: DomainNumber, _ kind: String, _ number: UInt32) -> String {
    "/local/domain/0/backend/\(kind)/\(domain)/\(number)"
  }

  /// The domain's own directory: the guest reads all of it and writes what libxl lets it write.
  public func describe(_ description: DomainDescription) {
    let vm = "/vm/\(description.uuid)"
    make(vm, [Permission(0, .none), Permission(domain, .read)])
    store.write(vm + "/uuid", description.uuid)
    store.write(vm + "/name", description.name)
    make("/libxl/\(domain)", [Permission(0, .none)])
    make(home, readable)
    store.write(home + "/vm", vm)
    store.write(home + "/name", description.name)
    store.write(home + "/domid", String(domain))
    for (key, value) in [
      ("static-max", description.maximumMemoryKiB), ("target", description.memoryKiB), ("videoram", 0),
    ] { store.write(home + "/memory/" + key, String(value)) }
    for vcpu in 0..<max(description.vcpus, 1) { store.write(home + "/cpu/\(vcpu)/availability", "online") }
    store.write(home + "/store/port", String(description.storePort))
    store.write(home + "/store/ring-ref", String(description.storeFrame))
    for key in ["device", "control"] { make(home + "/" + key, readable) }
    for key in ["shutdown", "feature-poweroff", "feature-reboot", "feature-suspend", "sysrq"] {
      make(home + "/control/" + key, writable)
    }
    store.write(home + "/control/platform-feature-multiprocessor-suspend", "1")
    store.write(home + "/control/platform-feature-xs_reset_watches", "1")
    make(home + "/device/suspend/event-channel", writable)
    for key in ["data", "drivers", "feature", "attr", "error"] { make(home + "/" + key, writable) }
    describeConsole(description)
  }

  private func describeConsole(_ description: DomainDescription) {
    let back = Self.backPath(domain, "console", 0)
    make(back, readable)
    write(
      back,
      [
        ("frontend", home + "/console"), ("frontend-id", String(domain)), ("online", "1"), ("state", "1"), ("protocol", "vt100"),
      ])
    make(home + "/console", readable)
    write(
      home + "/console",
      [
        ("backend", back), ("backend-id", "0"), ("limit", "1048576"), ("type", "xenconsoled"), ("output", "pty"), ("tty", ""),
        ("port", String(description.consolePort)), ("ring-ref", String(description.consoleFrame)),
      ])
  }

  /// The two directories of a disk.
  public func describe(disk: BlockConfiguration, isReadOnly: Bool) {
    let keys = [
      ("virtual-device", String(disk.virtualDevice)), ("device-type", disk.isCDROM ? "cdrom" : "disk"),
    ]
    let backKeys = [
      ("params", ""), ("type", "phy"), ("dev", disk.name), ("mode", isReadOnly ? "r" : "w"), ("removable", disk.isRemovable ? "1" : "0"),
      ("bootable", "1"), ("device-type", disk.isCDROM ? "cdrom" : "disk"),
    ]
    describe("vbd", disk.virtualDevice, front: keys, back: backKeys)
  }

  /// The two directories of a network card.
  public func describe(vif: NetworkConfiguration) {
    let keys = [("handle", String(vif.handle)), ("mac", vif.macText), ("mtu", String(vif.mtu))]
    let backKeys = [
      ("handle", String(vif.handle)), ("mac", vif.macText), ("script", ""), ("type", "vif"), ("hotplug-status", "connected"),
      ("mtu", String(vif.mtu)),
    ]
    describe("vif", vif.handle, front: keys, back: backKeys)
  }

  /// Both halves' directories, each pointing at the other; the back end's is for the guest to read, the front end's is its own.
  func describe(_ kind: String, _ number: UInt32, front: [(String, String)], back: [(String, String)]) {
    let frontPath = Self.frontPath(domain, kind, number)
    let backPath = Self.backPath(domain, kind, number)
    make(backPath, readable)
    make(frontPath, [Permission(domain, .none), Permission(0, .read)])
    write(backPath, [("frontend", frontPath), ("frontend-id", String(domain)), ("online", "1"), ("state", "1")] + back)
    write(frontPath, [("backend", backPath), ("backend-id", "0"), ("state", "1")] + front)
  }

  // MARK: - Control

  public enum ShutdownRequest: String, Sendable { case poweroff, reboot, halt, suspend }

  /// Asks the guest to end in order.
  public func requestShutdown(_ request: ShutdownRequest) { store.write(home + "/control/shutdown", request.rawValue) }

  /// A letter of the magic system request key.
  public func sendSysRq(_ letter: Character) { store.write(home + "/control/sysrq", String(letter)) }

  /// The size that the guest's balloon driver goes for.
  public func setMemoryTarget(KiB: UInt64) { store.write(home + "/memory/target", String(KiB)) }

  public func setAvailability(vcpu: Int, online: Bool) {
    store.write(home + "/cpu/\(vcpu)/availability", online ? "online" : "offline")
  }

  /// Removes what `describe` made; the guest is gone.
  public func forget() {
    store.rm(home)
    for kind in ["vbd", "vif", "console", "vfb", "vkbd"] { store.rm("/local/domain/0/backend/\(kind)/\(domain)") }
    store.rm("/libxl/\(domain)")
  }

  // MARK: -

  private var readable: [Permission] { [Permission(0, .none), Permission(domain, .read)] }
  private var writable: [Permission] { [Permission(domain, .none)] }

  private func make(_ path: String, _ permissions: [Permission]) {
    store.mkdir(path)
    store.setPermissions(path, permissions)
  }

  private func write(_ path: String, _ pairs: [(String, String)]) {
    for (key, value) in pairs { store.write(path + "/" + key, value) }
  }
}
