import CHost
import Foundation
import GuestMemory
import HostLinks
import Hypervisor
import Motherboard
import Processor
import Storage

// How a PC is put together from its options. Every error is the user's or the host's, in one line.

extension PCMachine {
  static func make(options: RunOptions, console: (any ConsoleLink)?, say: @escaping @Sendable (String) -> Void) throws -> PCMachine {
    let machine = try PCMachine(options: options)
    machine.logger = { text in if options.verbose > 0 { say(text) } }
    machine.isStepped = console != nil
    try machine.assemble(console, say)
    return machine
  }

  private func assemble(_ given: (any ConsoleLink)?, _ say: @escaping @Sendable (String) -> Void) throws {
    let (firmware, vgaROM) = try loadFirmware()
    let drives = try openDrives()
    guard let order = BootOrder(letters: options.bootOrder) else {
      throw MachineError(status: 64, message: "boot '\(options.bootOrder)': c is a disk, d a CD-ROM, n the network, each once")
    }
    let items = try firmwareItems(order, drives)
    vcpu = VCPU(memory: memory)
    vcpu.seed(options.seed)
    try chooseEngine()
    let console = try makeConsole(given, say)
    self.console = console
    connectOutside()
    var configuration = RealTimeClock.Configuration(memory: map)
    configuration.bootOrder = order.kinds.map(\.number)
    let debug: (([UInt8]) -> Void)? = options.verbose > 1 ? { [unowned self] in logger(String(decoding: $0, as: UTF8.self)) } : nil
    layOutMemory(firmware)
    let showsDisplay = options.showsDisplay
    do throws(IDEController.Failure) {
      parts = try PCParts(
        board: board, clock: configuration, items: items, vgaROM: vgaROM, drives: drives,
        console: { if !showsDisplay { console.write($0) } },
        debug: debug)
    } catch {
      throw MachineError(status: 65, message: "\(error)")
    }
    parts.hostBridge.segmentChanged = { [unowned self] in attributesChanged($0, $1) }
    parts.hostBridge.smramChanged = { [unowned self] in systemManagementMemory(isOpen: $0) }
    connectProcessor()
    try addCards()
    try listen(to: console)
    if showsDisplay {
      display = TerminalDisplay(vga: parts.vga) { console.write($0) }
      let keyboard = parts.keyboard
      typist = TerminalTypist(board: board) { keyboard.receive(scanCodes: $0) }
      display?.start()
    }
    liveOutside = console.isInteractive || options.interfaces.contains { $0.link != .none }
    try startMonitor()
    startTimeout()
  }

  private func loadFirmware() throws -> (FirmwareImage, [UInt8]) {
    do throws(FirmwareImage.Failure) {
      let bios = try FirmwareImage(biosAt: options.firmware ?? FirmwareImage.standardBIOS)
      return (bios, try FirmwareImage.optionROM())
    } catch {
      throw MachineError(status: status(of: error), message: "\(error)")
    }
  }

  private func status(of failure: FirmwareImage.Failure) -> Int32 {
    guard case .cannotRead = failure else { return 65 }
    return options.firmware == nil ? 69 : 66
  }

  private func firmwareItems(_ order: BootOrder, _ drives: [IDEDriveDescription?]) throws -> FirmwareItems {
    var items = FirmwareItems(memory: map, processors: 1)
    let platform = PlatformDescription(memory: map)
    var bootable = drives.enumerated().compactMap { place, drive in
      drive.map { BootOrder.Device.ide(channel: place / 2, unit: place % 2, kind: $0.kind == .disk ? .disk : .cdrom) }
    }
    bootable += options.interfaces.indices.map { BootOrder.Device.network(slot: 3 + $0) }
    let first = options.kernel.isEmpty ? nil : LinuxBootROM.bootPath
    items.setFile("bootorder", order.file(devices: bootable, first: first))
    ACPITables(platform).offer(in: &items)
    SMBIOSTables(platform, uuid: options.uuid, version: paravaneVersion).offer(in: &items)
    guard !options.kernel.isEmpty else { return items }
    let image = try Self.readFile(options.kernel, what: "kernel")
    let ramdisk = try options.ramdisk.map { try Self.readFile($0, what: "ramdisk") } ?? []
    do {
      try LinuxBoot(image: image, ramdisk: ramdisk, commandLine: options.commandLine, memory: map).offer(in: &items)
    } catch {
      let status: Int32
      switch error {
      case .notBzImage, .oldProtocol: status = 65
      case .commandLineTooLong, .memoryTooSmall: status = 64
      }
      throw MachineError(status: status, message: "\(options.kernel): \(error)")
    }
    return items
  }

  private func connectOutside() {
    let mailbox = self.mailbox
    board.outside.now = { [vcpu] in vcpu?.now ?? 0 }
    board.outside.deadlineMoved = { [vcpu] _ in vcpu?.stopAfterInstruction() }
    board.outside.accessTakes = { [vcpu] in vcpu?.advance(cycles: $0) }
    board.outside.memoryClaimed = { [unowned self] in windowChanged($0, isThere: $1) }
    let spare = map.low..<PCMachine.devicesEnd
    board.outside.hasSpareFrames = { spare.contains($0.lowerBound) && $0.upperBound <= spare.upperBound }
    board.outside.addressLine20 = { [vcpu] in vcpu?.a20Enabled = $0 }
    board.outside.powerOff = { [unowned self] in end(.powerOff) }
    board.outside.reset = { [unowned self] in end(.reset(byTripleFault: false)) }
    board.outside.log = { [unowned self] in logger($0) }
    if options.clock == .host { board.outside.hostIsDone = { mailbox.post(.diskCompletion(token: $0)) } }
  }

  private func end(_ how: Ending) {
    ending = how
    vcpu.stopAfterInstruction()
  }

  private func connectProcessor() {
    let (board, vcpu) = (self.board, self.vcpu!)
    let interrupts = parts.interrupts
    interrupts.outputChanged = { level in
      vcpu.interruptRequested = level
      if level { vcpu.stopAfterInstruction() }
    }
    interrupts.nonMaskable = {
      vcpu.nonMaskableRequested = true
      vcpu.stopAfterInstruction()
    }
    // Programs wait by reading ports, millions of times: the machine outlives its processor, so nothing is counted here.
    vcpu.system.portIn = { [unowned(unsafe) self] port, size in
      counters.port &+= 1
      return board.readPort(port, size: size)
    }
    vcpu.system.portOut = { [unowned self] port, size, value in
      counters.port &+= 1
      board.writePort(port, size: size, value: value)
    }
    vcpu.system.portInRow = { [unowned self] port, size, elements in
      let done = board.readPort(port, size: size, into: elements)
      counters.port &+= UInt64(done)
      return done
    }
    vcpu.system.portOutRow = { [unowned self] port, size, elements in
      let done = board.writePort(port, size: size, from: elements)
      counters.port &+= UInt64(done)
      return done
    }
    vcpu.system.readMSR = { interrupts.readMSR($0) }
    vcpu.system.timeStampMoved = { interrupts.timeStampOffset = vcpu.timeStampOffset }
    vcpu.system.writeMSR = { number, value in
      defer { vcpu.cpu.pointee.cr8 = UInt64(interrupts.taskPriority) }
      return interrupts.writeMSR(number, value)
    }
    vcpu.system.controlWritten = { if $0 == 8 { interrupts.setTaskPriority(UInt8(truncatingIfNeeded: vcpu.cpu.pointee.cr8)) } }
    let policy = self.policy
    vcpu.hasAccessPrevention = policy.has("smap")
    vcpu.offeredControlFour = policy.offeredControlFour
    vcpu.offeredExtendedControl = policy.supportedXCR0
    vcpu.cpuid = { leaf, subleaf in
      let cpu = vcpu.cpu
      return policy.cpuid(
        leaf, subleaf,
        pc: CPUPolicy.PCContext(
          xcr0: cpu.pointee.xcr0, osxsave: cpu.pointee.cr4 & 1 << 18 != 0, hasLocalAPIC: interrupts.localAPIC.isOn,
          cyclesPerSecond: board.cyclesPerSecond, crystal: interrupts.localAPIC.configuration.frequency))
    }
    memory.bus = MemoryBus(
      context: Unmanaged.passUnretained(self).toOpaque(),
      read: { context, address, size in
        guard let context else { return .max }
        return Unmanaged<PCMachine>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.readDevice(address, Int(size)) }
      },
      write: { context, address, size, value in
        guard let context else { return }
        Unmanaged<PCMachine>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.writeDevice(address, Int(size), value) }
      })
    vcpu.ownPageTables(physicalBits: CPUPolicy.physicalBits)
    vcpu.powerOn(signature: CPUPolicy.signature)
  }

  private func readDevice(_ address: UInt64, _ size: Int) -> UInt64 {
    counters.memory &+= 1
    return board.readMemory(address, size: size)
  }

  private func writeDevice(_ address: UInt64, _ size: Int, _ value: UInt64) {
    counters.memory &+= 1
    board.writeMemory(address, size: size, value: value)
    // The task priority may have been written.
    if address >> 12 == 0xFEE00 { vcpu.cpu.pointee.cr8 = UInt64(parts.interrupts.taskPriority) }
  }

  /// The four places on the two IDE channels: a disk's is its name's letter.
  private func openDrives() throws -> [IDEDriveDescription?] {
    var drives = [IDEDriveDescription?](repeating: nil, count: 4)
    for disk in options.disks {
      guard let letter = disk.device.dropFirst(disk.device.hasPrefix("xvd") ? 3 : 2).utf8.first, letter >= 97, letter < 97 + 4,
        ["xvd", "hd", "sd"].contains(where: { disk.device.hasPrefix($0) && disk.device.utf8.count == $0.utf8.count + 1 })
      else {
        throw MachineError(status: 64, message: "disk \(disk.device): a PC has hda to hdd (or xvda to xvdd, sda to sdd)")
      }
      let place = Int(letter - 97)
      guard drives[place] == nil else {
        throw MachineError(status: 64, message: "two disks are called \(disk.device); give one another name, for example hdb")
      }
      let image = disk.isCDROM && disk.target.isEmpty ? nil : try openImage(disk)
      images.append(contentsOf: image.map { [$0] } ?? [])
      drives[place] = IDEDriveDescription(disk.isCDROM ? .cdrom : .disk, image: image, name: disk.device, isReadOnly: disk.readOnly)
    }
    return drives
  }

  private func addCards() throws {
    guard options.interfaces.count <= 8 else { throw MachineError(status: 64, message: "--vif: a PC takes eight network cards") }
    for (index, interface) in options.interfaces.enumerated() {
      let link = try makeLink(interface, index)
      links.append(link)
      parts.add(
        EthernetController82540EM(
          board: board, name: "eth\(index)", mac: interface.mac ?? macAddress(seed: options.seed, index: index), link: link))
    }
  }

  /// What the guest wrote is in the images, also what it never flushed.
  func closeDisks() {
    for image in images {
      do { try image.close() } catch { logger("\(error)") }
    }
  }

  func collectDeviceStatistics() {
    statistics.vbd = parts.ide.statistics.map { Statistics.Disk($0) }
    statistics.vif = parts.cards.map { Statistics.Network($0.statistics) }
  }
}
