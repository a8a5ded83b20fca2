extension PlatformDescription {
  /// The terms of the DSDT: the PCI bus, the devices behind the ISA bridge, and soft-off. There are no methods and no link devices:
  /// the links stay where SeaBIOS leads them, and functions' pins are given as global system interrupts.
  var namespace: [UInt8] {
    let isa = AML.device("ISA_", [AML.name("_ADR", AML.integer(0x0001_0000))] + isaDevices)
    let bridge = AML.device(
      "PCI0",
      [
        AML.name("_HID", AML.eisa("PNP0A03")),
        AML.name("_UID", AML.integer(0)),
        AML.name("_CRS", AML.resources(bridgeResources)),
        AML.name("_PRT", AML.package(routes)),
        isa,
      ])
    // Sleep type 0 turns the power off (PowerManagement).
    let softOff = AML.name("_S5", AML.package(Array(repeating: AML.integer(0), count: 4)))
    return softOff + AML.scope("_SB", [bridge])
  }

  private var bridgeResources: [[UInt8]] {
    let window = memory.pciWindow
    return [
      AML.Window.buses(0...0xFF).descriptor,
      AML.ports(0xCF8, count: 8),
      AML.Window.ports(0...0xCF7).descriptor,
      AML.Window.ports(0xD00...0xFFFF).descriptor,
      AML.Window.memory(0xA0000...0xBFFFF, isCacheable: true).descriptor,
      AML.Window.memory(UInt32(window.lowerBound)...UInt32(window.upperBound), isCacheable: false).descriptor,
    ]
  }

  /// Slots 1 to 31, each with four pins; the power management function's pin is the system control interrupt.
  private var routes: [[UInt8]] {
    (1..<32).flatMap { slot in
      (0..<4).map { pin in
        let request =
          slot == 1 && pin == 0 ? UInt32(Self.systemControlInterrupt) : Self.linkRequests[PCIBus.link(slot: slot, pin: pin)]
        return AML.package([
          AML.integer(UInt32(slot) << 16 | 0xFFFF), AML.integer(UInt32(pin)), AML.integer(0), AML.integer(request),
        ])
      }
    }
  }

  private var isaDevices: [[UInt8]] {
    func device(_ name: String, _ identifier: String, unique: Int? = nil, _ resources: [[UInt8]]) -> [UInt8] {
      AML.device(
        name,
        [AML.name("_HID", AML.eisa(identifier))] + (unique.map { [AML.name("_UID", AML.integer(UInt32($0)))] } ?? [])
          + [AML.name("_CRS", AML.resources(resources))])
    }
    var devices = [device("RTC_", "PNP0B00", [AML.ports(0x70, count: 2), AML.request(8)])]
    if hasKeyboardController {
      devices.append(device("KBD_", "PNP0303", [AML.ports(0x60, count: 1), AML.ports(0x64, count: 1), AML.request(1)]))
      devices.append(device("MOU_", "PNP0F13", [AML.request(12)]))
    }
    for (index, serial) in serialPorts.prefix(4).enumerated() {
      devices.append(
        device("COM\(index + 1)", "PNP0501", unique: index + 1, [AML.ports(serial.port, count: 8), AML.request(serial.request)]))
    }
    return devices
  }
}
