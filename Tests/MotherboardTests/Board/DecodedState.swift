import Foundation

@testable import Motherboard

/// A device's state, as it comes out of a saved machine.
func decodedState<Device: BoardDevice>(of device: Device) throws -> Device.State {
  try JSONDecoder().decode(Device.State.self, from: device.encodedState())
}
