"""What profile does, one async function a call; stores are ports."""
