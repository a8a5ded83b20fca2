import BackEnds
import CHost
import Configuration
import Foundation
import HostLinks
import Storage

// What a guest's devices lead to on the host, whatever the devices are.

extension GuestMachine {
  static func readFile(_ path: String, what: String) throws -> [UInt8] {
    let url = URL(fileURLWithPath: path)
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw MachineError(status: 66, message: "\(path): cannot open the \(what): no such file")
    }
    guard !isDirectory.boolValue else { throw MachineError(status: 66, message: "\(path): cannot open the \(what): it is a directory") }
    // Once as it is read, once as an array.
    let size = (try? url.resourceValues(forKeys: [.fileSizeKey]))?.fileSize ?? 0
    guard ph_has_memory(2 * size) != 0 else {
      throw MachineError(status: 69, message: "\(path): the host has no memory for the \(what), \(size) bytes")
    }
    guard let data = try? Data(contentsOf: url) else {
      throw MachineError(status: 66, message: "\(path): cannot read the \(what): check its permissions")
    }
    return [UInt8](data)
  }

  /// A disk's image.
  func openImage(_ disk: DiskSpecification) throws -> any BlockDevice {
    if disk.target.isEmpty { return MemoryBlockDevice(bytes: [], isReadOnly: true) }
    do {
      guard isStepped else { return try Storage.openImage(path: disk.target, format: disk.format.rawValue, readOnly: disk.readOnly) }
      let image = try Storage.openImage(path: disk.target, format: disk.format.rawValue, readOnly: true)
      return OverlayBlockDevice(image, isReadOnly: disk.readOnly)
    } catch let error as StorageError {
      let status: Int32
      switch error {
      case .malformed, .unsupported: status = 65
      default: status = 66
      }
      throw MachineError(status: status, message: "\(error)")
    }
  }

  /// Network card `index`'s link to the host.
  func makeLink(_ interface: NetworkSpecification, _ index: Int) throws -> any NetworkLink {
    let mailbox = self.mailbox
    let deliver: @Sendable ([UInt8]) -> Void = { mailbox.post(.packet(vif: index, frame: $0)) }
    let link: any NetworkLink
    do {
      switch interface.link {
      case .none: link = DisconnectedLink()
      case .tap(let name): link = try DescriptorNetworkLink.tap(name, deliver: deliver)
      case .socket(let path): link = try DescriptorNetworkLink.socket(path, deliver: deliver)
      case .user:
        let clock = publishedClock
        let forwards = interface.forwards.map {
          PortForward(
            isUDP: $0.isUDP, hostAddress: $0.hostAddress, hostPort: $0.hostPort, guestAddress: $0.guestAddress, guestPort: $0.guestPort)
        }
        link = try UserNetworkLink(forwards: forwards, clock: { clock.nanoseconds }, deliver: deliver)
      }
    } catch {
      throw MachineError(status: 69, message: "vif \(index): \(error)")
    }
    guard index == 0, let path = options.capturePath else { return link }
    do {
      return CapturedLink(link, try PacketCapture(path: path)) { [unowned self] in wallClock }
    } catch {
      throw MachineError(status: 66, message: "\(error)")
    }
  }

  func makeConsole(_ given: (any ConsoleLink)?, _ say: @escaping @Sendable (String) -> Void) throws -> any ConsoleLink {
    do {
      return try given ?? makeConsoleLink(options.console, announce: say)
    } catch {
      throw MachineError(status: 64, message: "\(error)")
    }
  }

  /// Lets the console's bytes in.
  func listen(to console: any ConsoleLink) throws {
    let mailbox = self.mailbox
    do {
      try console.start(receive: { mailbox.post(.console($0)) }, leave: { mailbox.post(.leave) })
    } catch {
      throw MachineError(status: 66, message: "\(error)")
    }
  }

  func startTimeout() {
    guard let timeout = options.timeout, !isStepped else { return }
    let mailbox = self.mailbox
    startThread {
      Thread.sleep(forTimeInterval: timeout)
      mailbox.post(.timeout)
    }
  }

  /// Takes the engine that was asked for.
  func chooseEngine() throws {
    if options.engine != .interpreter && vcpu.enableTranslator(report: options.verbose > 0) {
      engine = .translator
    } else if options.engine == .translator || options.engine == .lockstep {
      let name = options.engine.rawValue
      throw MachineError(
        status: 69, message: "--engine \(name) wants an x86-64 host that gives executable memory; say --engine interpreter")
    }
  }
}
